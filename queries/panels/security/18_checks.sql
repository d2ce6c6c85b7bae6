-- Where each check stands
--
-- Each check of tenant isolation over the chosen targets, those that fail first, then the unknown ones: on how many
-- targets it passes, fails or is unknown, its findings, how long ago it ran at the latest and how long it takes. What
-- each one looks for: docs/checks.md, or `sbpgmon tenants checks`.
--
-- kind: table
-- unit: short
-- needs: isolation_check
-- size: 12x8
-- instant: yes
-- columns:
--   check_name   label  Check  width: 220
--   passed       value  Pass
--   failed       value  Fail  thresholds: success, 1 critical
--   unknown      value  Unknown  thresholds: success, 1 warning
--   findings     value  Findings
--   allowed      value  Allowed
--   age_seconds  value  Oldest run [dtdurations]
--   seconds      value  Takes at most [s]
select
  c.check_name,
  count(*) filter (where c.status = 'pass') as passed,
  count(*) filter (where c.status = 'fail') as failed,
  count(*) filter (where c.status = 'unknown') as unknown,
  sum(c.fails + c.unknowns)::bigint as findings,
  sum(c.allowed)::bigint as allowed,
  max(c.age_seconds) as age_seconds,
  max(c.seconds) as seconds
from monitoring.isolation_check as c
where c.target in ($target)
group by c.check_name
order by failed desc, unknown desc, c.check_name
limit 100
