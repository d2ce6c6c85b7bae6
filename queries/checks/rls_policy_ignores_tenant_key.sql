-- A permissive policy that does not ask whose row it is.
--
-- Its condition reads other columns, or only who asks, and never holds the tenant key against the context: rows of
-- other tenants that meet it are the application's. A key that is reached through a sub-select or a function counts.
--
-- model: rls
-- severity: P0
-- uses: policy_exposure
select
  e.object,
  e.app_name as role,
  e.polname as part,
  format(
    'The policy %I does not hold the tenant key against the context: %s may %s rows of other tenants that meet %s.',
    e.polname, e.app_name, e.verbs, regexp_replace(left(e.expression, 200), '\s+', ' ', 'g')
  ) as detail,
  format('ALTER POLICY %I ON %s USING (%s AND %s);', e.polname, e.object, e.bound, e.expression) as remedy
from policy_exposure as e
where e.weakness = 'keyless' and e.clause = 'USING'
order by 1, 2, 3
