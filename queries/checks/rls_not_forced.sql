-- A tenant table with row level security that is not forced upon its owner.
--
-- The application cannot act as the owner today, so no tenant gains by it; a view, a function or a job of the owner's
-- goes past the policies, and so does the application once it is made a member.
--
-- model: rls
-- severity: P3
-- uses: tenant_table, app_identity
select
  t.object,
  '' as role,
  format(
    'Policies do not apply to the owner, %s: what a tenant gets done in its name sees the rows of every tenant.',
    o.rolname
  ) as detail,
  format('ALTER TABLE %s FORCE ROW LEVEL SECURITY;', t.object) as remedy
from tenant_table as t
join pg_roles as o on o.oid = t.relowner
where t.relrowsecurity and not t.relforcerowsecurity
  and t.relowner not in (select i.identity from app_identity as i)
order by 1
