-- Databases of one tenant each, of this server.
--
-- uses: tenancy
select
  d.oid,
  d.datname,
  d.datdba,
  d.datacl,
  m.tenant,
  nullif(m.role, '') as role,
  r.oid as role_oid,
  d.datname = current_database() as is_here
from tenancy as t
cross join jsonb_to_recordset(t.tenant_databases) as m (name text, tenant text, role text)
join pg_database as d on d.datname = m.name
left join pg_roles as r on r.rolname = m.role
where 'database' = any (t.models)
