-- Slowest statements on average
--
-- Mean execution time of one call, the slowest first, among the 500 statements that took most time in the range. A
-- statement that people wait for belongs below some hundred milliseconds; reports and maintenance may take longer.
--
-- kind: table
-- unit: short
-- needs: stat_statements
-- size: 12x8
-- columns:
--   query            label  Statement  link: query_detail; width: 420
--   mean_exec_time   value  Mean [ms]
--   calls            value  Calls
--   total_exec_time  value  Total time [ms]
--   usename          label  User
--   datname          label  Database
--   nested           label  Nested
--   target           label  Target  hidden
--   queryid          label  Query ID
select
  coalesce(left(s.query, 300), 'statement ' || s.queryid) as query,
  s.mean_exec_time,
  s.calls,
  s.total_exec_time,
  s.usename,
  s.datname,
  case when not s.toplevel then 'in a function' end as nested,
  s.target,
  s.queryid::text as queryid
from monitoring.top_statements(
  ${target:sqlstring}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, 'total_exec_time', 500, '{}'
) as s
order by s.mean_exec_time desc nulls last, s.queryid
limit 10
