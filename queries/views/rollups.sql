-- The tiers of each metric: how long each is kept, and up to where it is complete.
--
-- A total over a long range is quick where its inner part comes from a coarse tier, and right up to now where what that
-- tier does not have yet comes from the finer ones, from its watermark on.
--
-- columns:
--   metric             metric
--   tier               resolution
--   retention_seconds  how long its rows are kept; NULL: for ever
--   watermark          up to here it has been made out of the finer one; NULL for the finest, and before the first time
--   dropped_until      rows before it are gone; NULL: none is
--   rolled_at          when it was last made
--   rows               rows that were made then
--   seconds            time that it took
select
  m.name as metric,
  r.tier,
  r.retention_seconds,
  r.watermark,
  r.dropped_until,
  r.rolled_at,
  r.rows,
  r.seconds::double precision as seconds
from monitoring.rollup as r
join monitoring.metric as m using (metric_id)
