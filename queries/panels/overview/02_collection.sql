-- Failing and stale readings
--
-- Failing: metrics whose last reading ended in an error, on targets that can be reached. Stale: metrics of which three
-- readings in a row are overdue. What a stale metric's charts show is old.
--
-- kind: stat
-- unit: none
-- needs: metric_health
-- size: 5x6
-- instant: yes
-- links: agent
-- columns:
--   failing  value  Failing  thresholds: success, 1 warning
--   stale    value  Stale    thresholds: success, 1 warning
select
  count(*) filter (where h.status = 'error') as failing,
  count(*) filter (where h.is_stale) as stale
from monitoring.metric_health as h
where h.target in ($target)
