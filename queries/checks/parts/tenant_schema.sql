-- Schemas of one tenant each. What is declared as shared, or as the pool's, is no tenant's, whatever it is called.
--
-- uses: tenancy
select
  n.oid,
  n.nspname,
  n.nspowner,
  n.nspacl,
  m.tenant,
  nullif(m.role, '') as role,
  r.oid as role_oid
from tenancy as t
cross join jsonb_to_recordset(t.tenant_schemas) as m (name text, tenant text, role text)
join pg_namespace as n on n.nspname = m.name
left join pg_roles as r on r.rolname = m.role
where 'schema' = any (t.models)
  and n.nspname <> all (t.shared_schemas || t.pool_schemas || array['monitoring'])
