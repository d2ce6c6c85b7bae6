-- Whether each target answered: 1, or 0 for a poll that could not reach it, or met another server.
--
-- needs: server
-- columns:
--   time    time of the poll
--   tier    resolution
--   target  target
--   up      1 or 0
select
  l.ts as time,
  m.tier,
  t.name as target,
  (l.status not in ('unreachable', 'refused'))::integer as up
from monitoring.snapshot_log as l
join monitoring.metric as m using (metric_id)
join monitoring.target as t using (target_id)
where m.name = 'server'
