-- Each application role with itself and with every role that it can become.
--
-- uses: app_role, membership
select
  a.oid as app,
  a.rolname as app_name,
  b.oid as identity,
  b.rolname as identity_name,
  b.rolsuper or b.rolbypassrls as is_exempt,
  b.rolsuper,
  m.is_usage
from app_role as a
join membership as m on m.role = a.oid
join pg_roles as b on b.oid = m.becomes
