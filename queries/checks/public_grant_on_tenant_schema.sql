-- A tenant's schema, or a table in one that can be entered, that is open to PUBLIC.
--
-- PUBLIC is every role, those of all other tenants with it: USAGE lets them name what is there and call its functions,
-- CREATE lets them put something there that the tenant's statements then find. Grants on tables count where PUBLIC or
-- another tenant's role may enter the schema.
--
-- model: schema
-- severity: P0
-- uses: tenant_schema, tenant_user
with entrance as (
  select s.oid, s.nspname, s.tenant, x.grantee, x.privilege_type
  from tenant_schema as s
  cross join lateral aclexplode(s.nspacl) as x
),
entered as (
  select e.oid, e.nspname, e.tenant
  from entrance as e
  where e.privilege_type = 'USAGE' and e.grantee = 0
  union
  select e.oid, e.nspname, e.tenant
  from entrance as e
  join tenant_user as u on u.identity = e.grantee and u.tenants <> '{}' and e.tenant <> all (u.tenants)
  where e.privilege_type = 'USAGE'
)
select w.object, '' as role, w.part, w.detail, w.remedy
from (
  select
    quote_ident(e.nspname) as object,
    '' as part,
    format('Every role has %s on the schema of tenant %s.', string_agg(e.privilege_type, ' and '), e.tenant) as detail,
    format('REVOKE ALL ON SCHEMA %I FROM PUBLIC;', e.nspname) as remedy
  from entrance as e
  where e.grantee = 0
  group by e.nspname, e.tenant
  union all
  select
    o.object,
    '',
    format('Every role that may enter the schema has %s on %s, of tenant %s.',
      string_agg(distinct x.privilege_type, ', '), o.object, e.tenant),
    format('REVOKE ALL ON %s %s FROM PUBLIC;', case c.relkind when 'S' then 'SEQUENCE' else 'TABLE' end, o.object)
  from entered as e
  join pg_class as c on c.relnamespace = e.oid
  cross join lateral aclexplode(c.relacl) as x
  cross join lateral (select format('%I.%I', e.nspname, c.relname) as object) as o
  where x.grantee = 0
  group by o.object, e.tenant, c.relkind
  union all
  select
    o.object,
    a.attname::text,
    format('Every role that may enter the schema has %s on the column %I of %s, of tenant %s.',
      string_agg(distinct x.privilege_type, ', '), a.attname, o.object, e.tenant),
    format('REVOKE ALL (%I) ON TABLE %s FROM PUBLIC;', a.attname, o.object)
  from entered as e
  join pg_class as c on c.relnamespace = e.oid
  join pg_attribute as a on a.attrelid = c.oid and a.attacl is not null
  cross join lateral aclexplode(a.attacl) as x
  cross join lateral (select format('%I.%I', e.nspname, c.relname) as object) as o
  where x.grantee = 0
  group by o.object, a.attname, e.tenant
  union all
  select
    quote_ident(e.nspname),
    'default privileges of ' || d.defaclrole::regrole,
    format('What %s makes in the schema of tenant %s will be open to every role that may enter it.',
      d.defaclrole::regrole, e.tenant),
    format('ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %I REVOKE ALL ON TABLES FROM PUBLIC;',
      d.defaclrole::regrole, e.nspname)
  from entered as e
  join pg_default_acl as d on d.defaclnamespace = e.oid and d.defaclobjtype = 'r'
  cross join lateral aclexplode(d.defaclacl) as x
  where x.grantee = 0
  group by e.nspname, d.defaclrole, e.tenant
) as w
order by 1, 3
