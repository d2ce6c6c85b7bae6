-- Who blocks whom
--
-- Every pair of roles of which one waited for a lock of the other in the time range, the longest wait first. A blocker
-- that is idle in transaction has forgotten to commit: ending its session (pg_terminate_backend of its process) frees
-- the others. Processes are as last seen; 0 is a prepared transaction.
--
-- kind: table
-- unit: none
-- needs: blocked_sessions
-- size: 24x6
-- columns:
--   datname               label  Database
--   blocked_usename       label  Who waits
--   blocking_usename      label  For whom
--   blocking_state        label  Which is
--   application           label  Application
--   longest_wait_seconds  value  Longest wait [s]  thresholds: success, 30 warning, 300 critical
--   blocked_sessions      value  Most at a time
--   blocking_pid          label  Blocker's process
--   blocked_pid           label  Waiting process
--   queryid               label  What waits  link: query_detail
--   last_seen             time   Last seen
select
  x.datname,
  x.blocked_usename,
  x.blocking_usename,
  x.blocking_state,
  (array_agg(x.blocking_application_name order by x.time desc))[1] as application,
  max(x.longest_wait_seconds_max) as longest_wait_seconds,
  max(x.blocked_sessions_max) as blocked_sessions,
  (array_agg(x.blocking_pid order by x.time desc))[1]::text as blocking_pid,
  (array_agg(x.blocked_pid order by x.time desc))[1]::text as blocked_pid,
  (array_agg(x.blocked_query_id order by x.time desc))[1]::text as queryid,
  max(x.time) as last_seen
from monitoring.blocked_sessions as x
where x.tier = monitoring.tier('blocked_sessions', $__interval_ms, $__timeFrom()::timestamptz)
  and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
  and x.target = ${target:sqlstring}
group by 1, 2, 3, 4
order by 6 desc, 1, 2, 3, 4
limit 50
