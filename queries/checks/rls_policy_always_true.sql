-- A permissive policy that lets every row through.
--
-- It says nothing of the tenant (true, 1 = 1, a column that equals itself, a key that is there), and permissive
-- policies are alternatives: whatever the others ask for, the application's role gets at the rows of all tenants. A
-- restrictive policy on the key beside it makes it harmless; a restrictive `true` is.
--
-- model: rls
-- severity: P0
-- uses: policy_exposure
select
  e.object,
  e.app_name as role,
  e.polname || case when e.clause = 'CHECK' then ' (WITH CHECK)' else '' end as part,
  format(
    'The policy %I lets every row through: %s may %s rows of every tenant.', e.polname, e.app_name, e.verbs
  ) as detail,
  format(
    'ALTER POLICY %I ON %s %s (%s);', e.polname, e.object,
    case e.clause when 'CHECK' then 'WITH CHECK' else 'USING' end, e.bound
  ) as remedy
from policy_exposure as e
where e.weakness = 'always'
order by 1, 2, 3
