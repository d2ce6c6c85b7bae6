-- Who runs statements: the application, those that may see all tenants, and the rest.
--
-- The application is its roles, what they can SET ROLE to, and the logins that are members of one of them. Superusers,
-- the declared operators with their members, the agent, the owner of its schema, and the tables' owners are none, unless
-- the application can become them. Where no role of the application is known, owners are not known to be operators either. `tenant`: whose
-- role it is, where each tenant has a schema.
--
-- uses: tenancy, tenant_table, tenant_schema, membership, app_role, app_identity
with owner as materialized (
  select t.relowner as role from tenant_table as t
  union
  select c.relowner from tenant_schema as s join pg_class as c on c.relnamespace = s.oid and c.relkind in ('r', 'p')
),

app as materialized (
  select oid from app_role
),

admin as materialized (
  select m.role
  from tenancy as t
  join pg_roles as a on a.rolname = any (t.admin_roles)
  join membership as m on m.becomes = a.oid
),

become as materialized (
  select distinct identity as oid from app_identity where is_settable
),

lent as materialized (
  select distinct m.role as oid from membership as m join app as a on a.oid = m.becomes
)

select
  r.oid::bigint as oid,
  r.rolname::text as name,
  case
    when r.oid in (select oid from app) then 'app'
    when r.rolsuper
      or r.rolname = t.own_role
      or r.rolname = any (t.admin_roles)
      or (r.rolname like 'pg\_%' and r.oid < 16384)
      then 'operator'
    when r.oid in (select oid from become) then 'app'
    when r.oid in (select role from admin) then 'operator'
    when r.oid = (select n.nspowner from pg_namespace as n where n.nspname = 'monitoring') then 'operator'
    when r.oid in (select role from owner) then case when exists (select from app) then 'operator' else 'other' end
    when r.rolcanlogin and r.oid in (select oid from lent) then 'app'
    else 'other'
  end as kind,
  (select min(s.tenant) from tenant_schema as s where s.role_oid = r.oid) as tenant
from pg_roles as r
cross join tenancy as t
order by 1
