-- Who works in tenants' schemas: the tenants' own roles and the declared ones of the application, with whomever each
-- can become.
--
-- `tenants` are those whose role it is; empty for a role that works for all. Superusers among `identity` are marked.
--
-- uses: tenancy, tenant_schema, membership
select
  a.oid as app,
  a.rolname as app_name,
  b.oid as identity,
  b.rolname as identity_name,
  b.rolsuper as is_superuser,
  coalesce(o.tenants, '{}') as tenants
from tenancy as t
cross join pg_roles as a
left join (
  select s.role_oid, array_agg(distinct s.tenant) as tenants
  from tenant_schema as s
  where s.role_oid is not null
  group by s.role_oid
) as o on o.role_oid = a.oid
join membership as m on m.role = a.oid
join pg_roles as b on b.oid = m.becomes
where a.rolname <> all (t.admin_roles) and (o.role_oid is not null or a.rolname = any (t.app_roles))
