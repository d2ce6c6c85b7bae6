-- The databases that are monitored, and how they were last seen.
--
-- columns:
--   target         target
--   target_id      as in the metrics' views
--   database       database that the agent connects to
--   server_version version at the last change
--   first_seen     time of the first poll
--   last_poll      time of the last poll, good or not
--   last_good_poll time of the last good one
--   is_up          whether the last poll of `server` reached it; NULL before the first
--   is_refused     another server answers in its place: nothing is read until `sbpgmon targets accept`
--   is_standby     a standby, or recovering
--   failing        metrics whose last snapshot failed
select
  t.name as target,
  t.target_id,
  t.database,
  t.server_version,
  t.first_seen,
  s.last_poll,
  s.last_good_poll,
  s.is_up,
  t.refused_identifier is not null as is_refused,
  s.is_standby,
  s.failing
from monitoring.target as t
left join (
  select
    m.target_id,
    max(m.last_ts) as last_poll,
    max(m.snapshot_ts) as last_good_poll,
    bool_and(m.last_status not in ('unreachable', 'refused')) filter (where n.name = 'server') as is_up,
    bool_or(m.is_standby) filter (where n.name = 'server') as is_standby,
    count(*) filter (where m.last_status in ('error', 'unreachable', 'refused')) as failing
  from monitoring.metric_state as m
  join monitoring.metric as n using (metric_id)
  group by m.target_id
) as s using (target_id)
