-- A permissive policy whose WITH CHECK does not ask whose row is written.
--
-- What it lets through can be written into another tenant: a row is added with a foreign key of the tenant, or moved
-- there by an update. Without a WITH CHECK of its own a policy checks with USING, and an INSERT policy without one lets
-- nothing through.
--
-- model: rls
-- severity: P0
-- uses: policy_exposure
select
  e.object,
  e.app_name as role,
  e.polname as part,
  format(
    'WITH CHECK of the policy %I does not hold the tenant key against the context: %s may %s rows that are then '
    'another tenant''s.', e.polname, e.app_name, e.verbs
  ) as detail,
  format(
    'ALTER POLICY %I ON %s WITH CHECK (%s);', e.polname, e.object,
    e.bound || case when e.weakness = 'keyless' then ' AND ' || e.expression else '' end
  ) as remedy
from policy_exposure as e
where e.weakness in ('always', 'keyless') and e.clause = 'CHECK'
order by 1, 2, 3
