-- Every reading of every metric, also when it failed.
--
-- columns:
--   time                      time of the reading, as in the metric's view
--   target                    target
--   metric                    metric
--   status                    ok, error, unreachable, refused or skipped
--   error                     what went wrong
--   interval_seconds          since the last good snapshot; NULL for a baseline
--   nominal_interval_seconds  as configured
--   duration_seconds          time that the reading took
--   rows                      rows that were read
--   facts                     rows that were stored
--   bytes                     bytes that were read
--   skew_seconds              the target's clock less the agent's
--   quality                   0 good; bits: 1 partial, 2 unknown (a baseline), 4 gap
select
  l.ts as time,
  t.name as target,
  m.name as metric,
  l.status,
  l.error,
  l.interval_seconds::double precision as interval_seconds,
  l.nominal_interval_seconds::double precision as nominal_interval_seconds,
  l.duration_seconds::double precision as duration_seconds,
  l.rows,
  l.facts,
  l.bytes,
  l.skew_seconds::double precision as skew_seconds,
  l.quality
from monitoring.snapshot_log as l
join monitoring.target as t using (target_id)
join monitoring.metric as m using (metric_id)
