-- Application roles that row level security of a tenant table does not bind, and why.
--
-- A role bypasses when it, or a role that it can become, is a superuser, has BYPASSRLS, or can act as the owner of a
-- table without FORCE.
--
-- uses: tenant_table, app_identity
select
  t.oid,
  i.app,
  i.app_name,
  i.identity,
  i.identity_name,
  case
    when i.rolsuper then 'superuser'
    when i.is_exempt then 'bypassrls'
    else 'owner'
  end as reason
from app_identity as i
join tenant_table as t on i.is_exempt or (i.identity = t.relowner and not t.relforcerowsecurity)
