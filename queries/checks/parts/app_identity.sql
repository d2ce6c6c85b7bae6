-- Each application role with itself and with every role that it can become.
--
-- `is_settable`: it can SET ROLE to it; a membership of 16 and newer may only lend privileges. `is_exempt`: row level
-- security does not bind that role, and the application can SET ROLE to it: attributes of a role are not lent.
--
-- uses: app_role, membership
select
  a.oid as app,
  a.rolname as app_name,
  b.oid as identity,
  b.rolname as identity_name,
  s.is_settable and (b.rolsuper or b.rolbypassrls) as is_exempt,
  b.rolsuper,
  m.is_usage,
  s.is_settable
from app_role as a
join membership as m on m.role = a.oid
join pg_roles as b on b.oid = m.becomes
cross join lateral (
  select a.oid = b.oid or pg_has_role(
    a.oid, b.oid, case when current_setting('server_version_num')::integer >= 160000 then 'SET' else 'MEMBER' end
  ) as is_settable
) as s
