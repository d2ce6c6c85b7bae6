-- Statements that became slower
--
-- Statements whose mean time rose by half or more against the stretch of the same length just before the range, those
-- that cost most extra time first. Only those with ten calls or more on both sides, and 1% or more of the time now:
-- the others are noise.
--
-- kind: table
-- unit: short
-- needs: stat_statements
-- size: 12x8
-- columns:
--   query        label  Statement  link: query_detail; width: 420
--   factor       value  Times as slow  thresholds: success, 1.5 warning, 3 critical
--   mean_before  value  Mean before [ms]
--   mean_now     value  Mean now [ms]
--   extra_time   value  Extra time [ms]
--   share        value  Share now [percentunit]  bar; width: 110
--   calls        value  Calls
--   usename      label  User
--   datname      label  Database
--   nested       label  Nested
--   target       label  Target  hidden
--   queryid      label  Query ID
select
  coalesce(left(n.query, 300), 'statement ' || n.queryid) as query,
  n.mean_exec_time / n.mean_before as factor,
  n.mean_before,
  n.mean_exec_time as mean_now,
  (n.mean_exec_time - n.mean_before) * n.calls as extra_time,
  n.share,
  n.calls,
  n.usename,
  n.datname,
  case when not n.toplevel then 'in a function' end as nested,
  n.target,
  n.queryid::text as queryid
from (
  select t.*, t.total_exec_time_before / nullif(t.calls_before, 0) as mean_before
  from monitoring.top_statements(
    ${target:sqlstring}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, 'total_exec_time', 100, '{}',
    $__timeFrom()::timestamptz - ($__timeTo()::timestamptz - $__timeFrom()::timestamptz)
  ) as t
) as n
where n.share >= 0.01
  and n.calls >= 10
  and n.calls_before >= 10
  and n.mean_before > 0
  and n.mean_exec_time >= 1.5 * n.mean_before
order by (n.mean_exec_time - n.mean_before) * n.calls desc, n.queryid
limit 10
