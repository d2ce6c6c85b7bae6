-- A policy that lets other tenants' rows through while the context is unset.
--
-- A connection that forgets to set it, or that a pooler hands out afresh, sees what belongs to others. What the policy
-- does with an unset setting is worked out from its expression, for NULL (never set) and for '' (set, then reset); of
-- functions that read the setting the body is looked at, which is a guess.
--
-- model: rls
-- severity: P1
-- heuristic: yes
-- uses: policy_exposure
select
  e.object,
  e.app_name as role,
  e.polname || case when e.clause = 'CHECK' then ' (WITH CHECK)' else '' end as part,
  format(
    'The policy %I lets rows of other tenants through while the context is unset: %s may then %s them.',
    e.polname, e.app_name, e.verbs
  ) as detail,
  format(
    'ALTER POLICY %I ON %s %s (%s);', e.polname, e.object,
    case e.clause when 'CHECK' then 'WITH CHECK' else 'USING' end, e.bound
  ) as remedy
from policy_exposure as e
where e.weakness = 'open'
order by 1, 2, 3
