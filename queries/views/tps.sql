-- Transactions a second, and the share that was rolled back, by database.
--
-- Over the seconds that were watched, as the snapshots measured them.
--
-- needs: stat_database
-- columns:
--   time            end of the interval; start of the bucket in coarser tiers
--   tier            resolution
--   target          target
--   datname         database
--   tps             (commits + rollbacks) / seconds
--   rollback_ratio  rollbacks / (commits + rollbacks), 0 to 1
--   quality         0 good; bits: 1 partial (a lower bound), 2 unknown, 4 gap
select
  d.time,
  d.tier,
  d.target,
  d.datname,
  (d.xact_commit + d.xact_rollback) / nullif(d.covered_seconds, 0) as tps,
  d.xact_rollback::double precision / nullif(d.xact_commit + d.xact_rollback, 0) as rollback_ratio,
  d.quality
from monitoring.stat_database as d
