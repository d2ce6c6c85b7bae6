-- A foreign table with the tenant key that the application may read or write.
--
-- Row level security cannot be on a foreign table, nor on one that is a partition: whatever the other server gives its
-- user mapping, every tenant gets.
--
-- model: rls
-- severity: P1
-- uses: tenancy, tenant_schema, app_identity
with foreign_table as (
  select c.oid, c.relnamespace, c.relowner, c.relispartition, f.ftserver,
    quote_ident(n.nspname) || '.' || quote_ident(c.relname) as object
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  join pg_foreign_table as f on f.ftrelid = c.oid
  cross join tenancy as t
  where c.relkind = 'f'
    and n.oid not in (select s.oid from tenant_schema as s)
    and n.nspname <> all (t.shared_schemas)
    and c.relname <> all (t.shared_tables)
    and n.nspname || '.' || c.relname <> all (t.shared_tables)
    and quote_ident(n.nspname) || '.' || quote_ident(c.relname) <> all (t.shared_tables)
    and exists (
      select from pg_attribute as a
      where a.attrelid = c.oid and a.attname = any (t.key_columns) and not a.attisdropped
    )
    and not exists (
      select from pg_depend as d
      where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
    )
)
select
  f.object,
  i.app_name as role,
  format('%s reads or writes the rows of every tenant that the server %s gives: row level security cannot be on a '
    'foreign table%s.', i.app_name, quote_ident(s.srvname),
    case when f.relispartition then ', and the policies of the table that it is a partition of hold through that alone'
    else '' end) as detail,
  format('REVOKE ALL ON %s FROM %s; -- or give a security_barrier view of it that compares the key with the context',
    f.object, coalesce(min(g.grantees), quote_ident(i.app_name))) as remedy
from foreign_table as f
join pg_foreign_server as s on s.oid = f.ftserver
join app_identity as i on has_schema_privilege(i.identity, f.relnamespace, 'USAGE')
  and (
    has_table_privilege(i.identity, f.oid, 'SELECT, INSERT, UPDATE, DELETE')
    or has_any_column_privilege(i.identity, f.oid, 'SELECT, INSERT, UPDATE')
  )
cross join lateral (
  select string_agg(distinct case when x.grantee = 0 then 'PUBLIC' else x.grantee::regrole::text end, ', ') as grantees
  from (
    select c.relacl as acl from pg_class as c where c.oid = f.oid
    union all
    select a.attacl from pg_attribute as a where a.attrelid = f.oid
  ) as p
  cross join lateral aclexplode(p.acl) as x
  where (x.grantee = 0 or pg_has_role(i.app, x.grantee, 'MEMBER')) and x.grantee <> f.relowner
) as g
group by f.object, f.relispartition, s.srvname, i.app_name
order by 1, 2
