-- Schemas in which tenants share tables: the declared ones, or all that are nobody else's.
--
-- uses: tenancy, tenant_schema
select
  n.oid,
  n.nspname,
  n.nspowner,
  n.nspacl,
  n.nspname = any (t.shared_schemas) as is_shared
from pg_namespace as n
cross join tenancy as t
where n.nspname !~ '^pg_'
  and n.nspname not in ('information_schema', 'monitoring')
  and n.oid not in (select s.oid from tenant_schema as s)
  and case
    when t.pool_schemas = '{}' then not exists (
      select from pg_depend as d
      where d.classid = 'pg_namespace'::regclass and d.objid = n.oid and d.deptype = 'e'
    )
    else n.nspname = any (t.pool_schemas || t.shared_schemas)
  end
