-- Transactions a second, and the share that was rolled back, by database.
--
-- Over the true length of each interval, as the snapshots measured it.
--
-- needs: stat_database
-- columns:
--   time            end of the interval
--   tier            resolution
--   target          target
--   datname         database
--   tps             (commits + rollbacks) / seconds
--   rollback_ratio  rollbacks / (commits + rollbacks), 0 to 1
select
  d.time,
  d.tier,
  d.target,
  d.datname,
  (d.xact_commit + d.xact_rollback) / nullif(s.interval_seconds, 0)::double precision as tps,
  d.xact_rollback::double precision / nullif(d.xact_commit + d.xact_rollback, 0) as rollback_ratio
from monitoring.stat_database as d
join monitoring.metric as m on m.name = 'stat_database'
left join monitoring.snapshot_log as s
  on s.metric_id = m.metric_id and s.target_id = d.target_id and s.ts = d.time
