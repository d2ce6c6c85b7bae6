-- Schemas of one tenant each.
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
