-- A condition beside the tenant key that lets rows through without it.
--
-- Either one policy holds the key against the context OR asks for something else, or two permissive policies for the
-- same role and command do, which is the same: each row of another tenant that meets the other condition is visible.
-- Wanted for rows that are everybody's, it deserves a second look and an allowance.
--
-- model: rls
-- severity: P2
-- uses: policy_exposure
select
  e.object,
  e.app_name as role,
  e.polname || case when e.clause = 'CHECK' then ' (WITH CHECK)' else '' end as part,
  case
    when e.weakness = 'or' then format(
      'The policy %I asks for the tenant key or for something else: %s may %s rows of other tenants that meet the rest '
      'of %s.', e.polname, e.app_name, e.verbs, regexp_replace(left(e.expression, 200), '\s+', ' ', 'g')
    )
    else format(
      'The permissive policy %I is an alternative to those that ask for the tenant key: %s may %s rows of other '
      'tenants by it.', e.polname, e.app_name, e.verbs
    )
  end as detail,
  case
    when e.weakness = 'or' then format(
      'ALTER POLICY %I ON %s %s (%s);', e.polname, e.object,
      case e.clause when 'CHECK' then 'WITH CHECK' else 'USING' end, e.bound
    )
    else format(
      'ALTER POLICY %I ON %s %s (%s AND %s); -- or make it restrictive: drop it, and CREATE POLICY ... AS RESTRICTIVE',
      e.polname, e.object, case e.clause when 'CHECK' then 'WITH CHECK' else 'USING' end, e.bound, e.expression
    )
  end as remedy
from policy_exposure as e
where e.weakness = 'or' or e.is_beside
order by 1, 2, 3
