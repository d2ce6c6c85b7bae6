-- The agent now
--
-- How the last poll of the chosen targets went. The age of the newest reading tells whether the agent runs at all; the
-- oldest one, whether a target was left behind.
--
-- kind: stat
-- unit: short
-- needs: targets, metric_status
-- size: 24x6
-- instant: yes
-- decimals: 0
-- columns:
--   targets            value  Targets
--   unreached          value  Not reached  thresholds: success, 1 critical
--   failing_metrics    value  Readings failing  thresholds: success, 1 warning
--   newest_seconds     value  Newest reading, age [s]  thresholds: success, 120 warning, 600 critical
--   oldest_seconds     value  Most overdue target, age [s]  thresholds: success, 300 warning, 900 critical
select
  count(*) as targets,
  count(*) filter (where t.is_up is false or t.is_refused) as unreached,
  (select count(*) from monitoring.metric_status as m where m.is_failing and m.target in ($target)) as failing_metrics,
  extract(epoch from now() - max(t.last_poll))::double precision as newest_seconds,
  extract(epoch from now() - min(coalesce(t.last_good_poll, t.first_seen)))::double precision as oldest_seconds
from monitoring.targets as t
where t.target in ($target)
