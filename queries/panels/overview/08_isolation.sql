-- Isolation of tenants
--
-- Checks that passed, of all that ran, with the unknown ones beside them: 100 % means something only where nothing is
-- unknown. Allowed are findings that somebody has decided to live with. The age is that of the check that ran longest
-- ago. A target without figures was never checked, and nothing is known of it.
--
-- kind: table
-- unit: none
-- needs: isolation, targets
-- size: 12x8
-- instant: yes
-- columns:
--   target           label  Target  link: security
--   isolation_ratio  value  Passed [percentunit]  thresholds: critical, 0.9 warning, 1 success
--   unknown_ratio    value  Unknown [percentunit]  thresholds: success, 0.001 warning
--   fails            value  Fails  thresholds: success, 1 critical
--   unknowns         value  Unknowns  thresholds: success, 1 warning
--   allowed          value  Allowed
--   age_seconds      value  Oldest check [s]
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
order by i.fails desc nulls last, i.isolation_ratio, i.unknowns desc nulls last, t.target
limit 100
