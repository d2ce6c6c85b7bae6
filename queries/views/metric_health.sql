-- The last reading of every metric on every target: whether it was good, and whether it is overdue.
--
-- columns:
--   target            target
--   metric            metric
--   status            ok, error, unreachable, refused or skipped
--   error             what went wrong
--   last_poll         time of the last reading, good or not
--   last_good_poll    time of the last good one
--   interval_seconds  from one reading to the next, as configured for this target
--   is_failing        the last reading was not good
--   is_stale          three readings are overdue, and a minute more
select
  t.name as target,
  m.name as metric,
  s.last_status as status,
  s.last_error as error,
  s.last_ts as last_poll,
  s.snapshot_ts as last_good_poll,
  i.interval_seconds,
  s.last_status in ('error', 'unreachable', 'refused') as is_failing,
  extract(epoch from now() - s.last_ts) > 3 * i.interval_seconds + 60 as is_stale
from monitoring.metric_state as s
join monitoring.metric as m using (metric_id)
join monitoring.target as t using (target_id)
left join lateral (
  select coalesce(max(l.nominal_interval_seconds), m.interval_seconds)::double precision as interval_seconds
  from monitoring.snapshot_log as l
  where l.metric_id = s.metric_id and l.target_id = s.target_id and l.ts = s.last_ts
) as i on true
