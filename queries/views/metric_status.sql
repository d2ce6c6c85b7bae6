-- Where each metric of each target stands: its last reading, good or not, and the last good one.
--
-- columns:
--   target              target
--   metric              metric
--   title               what the metric is
--   interval_seconds    as in its file
--   status              of the last reading: ok, error, unreachable, refused or skipped
--   is_failing          the last reading failed; a skipped one is not for this target
--   error               what went wrong with it
--   last_snapshot       time of the last reading, good or not
--   last_good_snapshot  time of the last good one; NULL: there was none
--   duration_seconds    time that the last good one took
--   rows                rows that it read
select
  t.name as target,
  m.name as metric,
  m.title,
  m.interval_seconds::double precision as interval_seconds,
  s.last_status as status,
  s.last_status in ('error', 'unreachable', 'refused') as is_failing,
  s.last_error as error,
  s.last_ts as last_snapshot,
  s.snapshot_ts as last_good_snapshot,
  s.snapshot_duration_seconds::double precision as duration_seconds,
  s.snapshot_rows as rows
from monitoring.metric_state as s
join monitoring.target as t using (target_id)
join monitoring.metric as m using (metric_id)
