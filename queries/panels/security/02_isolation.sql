-- Isolation
--
-- Checks that passed, of all that ran on the chosen targets, cut off and never rounded up: 100 % only with no fail and
-- no unknown. Beside it the share that is unknown, and the targets on which no check has ever run: of those nothing is
-- known. Below 100 %, read the findings; with unknowns, run `sbpgmon grants --tenancy`.
--
-- kind: stat
-- unit: percentunit
-- needs: isolation, targets
-- size: 8x6
-- instant: yes
-- decimals: 1
-- columns:
--   isolation_ratio  value  Passed   thresholds: critical, 0.9 warning, 1 success
--   unknown_ratio    value  Unknown  thresholds: success, 0.0001 warning
--   unwatched        value  Targets without checks [none]  thresholds: success, 1 warning
select
  floor(1000.0 * sum(i.passes) / nullif(sum(i.checks), 0)) / 1000 as isolation_ratio,
  ceil(1000.0 * sum(i.unknown_ratio * i.checks)::numeric / nullif(sum(i.checks), 0)) / 1000 as unknown_ratio,
  count(*) filter (where i.target is null) as unwatched
from monitoring.targets as t
left join monitoring.isolation as i on i.target = t.target
where t.target in ($target)
