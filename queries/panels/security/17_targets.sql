-- Isolation by target
--
-- How well each target keeps its tenants apart, the worst first: checks that passed, those that are unknown, findings
-- that fail, that are unknown and that are allowed, and the age of the oldest run. A target without figures has never
-- been checked: declare [tenancy] for it. Old runs say nothing about now.
--
-- kind: table
-- unit: short
-- needs: isolation, targets
-- size: 12x8
-- instant: yes
-- columns:
--   target           label  Target  link: security
--   isolation_ratio  value  Passed [percentunit]  thresholds: critical, 0.9 warning, 1 success
--   unknown_ratio    value  Unknown [percentunit]  thresholds: success, 0.0001 warning
--   fails            value  Fails  thresholds: success, 1 critical
--   unknowns         value  Unknowns  thresholds: success, 1 warning
--   allowed          value  Allowed
--   age_seconds      value  Oldest run [dtdurations]  thresholds: success, 3600 warning, 86400 critical
select
  t.target,
  i.isolation_ratio,
  i.unknown_ratio,
  i.fails,
  i.unknowns,
  i.allowed,
  extract(epoch from now() - i.oldest_run)::double precision as age_seconds
from monitoring.targets as t
left join monitoring.isolation as i on i.target = t.target
where t.target in ($target)
order by i.fails > 0 desc nulls last, i.fails desc nulls last, i.unknowns desc nulls last, t.target
limit 100
