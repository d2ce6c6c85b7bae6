-- A privilege of PUBLIC on a tenant table or its columns, or one that PUBLIC will get on tables that are made later.
--
-- PUBLIC is every role of the server, also those that are made later: whoever gets into the schema reads or changes the
-- rows of tenants as far as the privilege goes, whatever the application's own role was granted.
--
-- model: column
-- severity: P1
-- uses: pool_schema, pool_relation, tenant_table, indirect_table
with holder as materialized (
  select t.oid, t.object, t.relacl from tenant_table as t
  union all
  select i.oid, i.object, i.relacl from indirect_table as i
)
select
  g.object,
  '' as role,
  g.detail,
  g.remedy,
  g.part
from (
  select
    h.object,
    format('PUBLIC has %s on %s: every role that gets into the schema has it, on rows of every tenant.',
      string_agg(distinct x.privilege_type, ', ' order by x.privilege_type), h.object) as detail,
    format('REVOKE ALL ON TABLE %s FROM PUBLIC;', h.object) as remedy,
    '' as part
  from holder as h
  cross join lateral aclexplode(h.relacl) as x
  where x.grantee = 0
  group by h.object
  union all
  select
    h.object,
    format('PUBLIC has %s on column %I of %s: every role that gets into the schema has it, on rows of every tenant.',
      string_agg(distinct x.privilege_type, ', ' order by x.privilege_type), a.attname, h.object),
    format('REVOKE ALL (%I) ON TABLE %s FROM PUBLIC;', a.attname, h.object),
    a.attname::text
  from holder as h
  join pg_attribute as a on a.attrelid = h.oid and a.attacl is not null and not a.attisdropped
  cross join lateral aclexplode(a.attacl) as x
  where x.grantee = 0
  group by h.object, a.attname
  union all
  select
    quote_ident(coalesce(s.nspname, current_database())),
    format('PUBLIC will have %s on every table that %I makes in %s: rows of every tenant in it, for every role.',
      string_agg(distinct x.privilege_type, ', ' order by x.privilege_type),
      pg_get_userbyid(d.defaclrole),
      coalesce('the schema ' || quote_ident(s.nspname), 'this database')),
    format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE ALL ON TABLES FROM PUBLIC;',
      pg_get_userbyid(d.defaclrole),
      ' IN SCHEMA ' || quote_ident(s.nspname)),
    'default privileges of ' || pg_get_userbyid(d.defaclrole)
  from pg_default_acl as d
  cross join lateral aclexplode(d.defaclacl) as x
  left join pool_schema as s on s.oid = d.defaclnamespace
  where d.defaclobjtype = 'r' and x.grantee = 0
    and (d.defaclnamespace = 0 or not s.is_shared)
  group by s.nspname, d.defaclrole
) as g
