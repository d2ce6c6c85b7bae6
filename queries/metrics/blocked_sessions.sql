-- Sessions that wait for a lock, and the sessions that block them.
--
-- Asked only of sessions that wait: pg_blocking_pids() holds up the lock manager for a moment.
--
-- interval: 15s
-- scope: instance
-- requires: pg_monitor
-- missing: zero
-- columns:
--   datname           key    text              database of the blocked sessions
--   blocked_usename   key    text              role that is blocked
--   blocking_usename  key    text              role that blocks, '' for a prepared transaction
--   blocking_state    key    text              state of the blocking session
--   blocked_sessions  gauge  integer           sessions that wait
--   longest_wait_seconds  gauge  double precision  time since the oldest of them began its statement [seconds]
--   blocked_pid       info   integer           backend that waits longest
--   blocking_pid      info   integer           the backend that blocks it, 0 for a prepared transaction
--   blocked_query_id  info   bigint            the statement that waits (compute_query_id)
--   blocking_query_id info   bigint            the last statement of the blocker (compute_query_id)
--   blocking_application_name  info  text      what the blocker calls itself
select
  coalesce(w.datname::text, '') as datname,
  coalesce(w.usename::text, '') as blocked_usename,
  coalesce(b.usename::text, '') as blocking_usename,
  coalesce(b.state, '') as blocking_state,
  count(distinct w.pid)::integer as blocked_sessions,
  greatest(coalesce(extract(epoch from clock_timestamp() - min(w.query_start)), 0), 0)::double precision
    as longest_wait_seconds,
  (array_agg(w.pid order by w.query_start, w.pid))[1] as blocked_pid,
  (array_agg(blocker.pid order by w.query_start, w.pid))[1] as blocking_pid,
  (array_agg(w.query_id order by w.query_start, w.pid))[1] as blocked_query_id,
  (array_agg(b.query_id order by w.query_start, w.pid))[1] as blocking_query_id,
  (array_agg(coalesce(b.application_name, '') order by w.query_start, w.pid))[1] as blocking_application_name
from pg_stat_activity as w
cross join lateral unnest(pg_blocking_pids(w.pid)) as blocker (pid)
left join pg_stat_activity as b on b.pid = blocker.pid
where w.wait_event_type = 'Lock'
group by 1, 2, 3, 4
