-- Tenants kept apart
--
-- How many findings are open, by severity: ways in which tenants are not kept apart (fails), and what could not be
-- looked at (unknown). P0 is the worst. Findings that somebody has allowed are left out.
--
-- kind: bar
-- unit: none
-- needs: finding
-- size: 12x8
-- instant: yes
-- min: 0
-- links: security
-- columns:
--   severity  label  Severity
--   fails     value  Fails
--   unknowns  value  Unknown
select
  f.severity,
  count(*) filter (where f.status = 'fail') as fails,
  count(*) filter (where f.status = 'unknown') as unknowns
from monitoring.finding as f
where f.is_open and f.allowed is null and f.target in ($target)
group by 1
order by 1
