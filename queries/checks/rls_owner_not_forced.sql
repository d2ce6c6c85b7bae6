-- A tenant table whose owner the application is, or can act as, without FORCE ROW LEVEL SECURITY.
--
-- Policies do not apply to the owner of a table, nor to members of that role, unless they are forced: the application
-- sees and changes the rows of all tenants.
--
-- model: rls
-- severity: P0
-- uses: tenant_table, app_identity
select
  t.object,
  i.app_name as role,
  format(
    '%s %s, and row level security is not forced: it may read and change rows of every tenant.', i.app_name,
    case when bool_or(i.identity = i.app) then 'owns the table' else 'can act as its owner ' || min(i.identity_name) end
  ) as detail,
  format('ALTER TABLE %s FORCE ROW LEVEL SECURITY;', t.object) as remedy
from tenant_table as t
join app_identity as i on i.identity = t.relowner and not i.is_exempt
where t.relrowsecurity and not t.relforcerowsecurity
  and (
    has_schema_privilege(i.identity, t.relnamespace, 'USAGE') or has_schema_privilege(i.app, t.relnamespace, 'USAGE')
  )
group by t.object, i.app_name
order by 1, 2
