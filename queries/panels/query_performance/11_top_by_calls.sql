-- Most frequent statements
--
-- Statements by calls in the range. Many calls of a statement that returns one row each often come from a loop in the
-- application, where one statement for all rows is cheaper. The share is of all calls.
--
-- kind: table
-- unit: short
-- needs: stat_statements
-- size: 12x8
-- columns:
--   query           label  Statement  link: query_detail; width: 420
--   share           value  Share [percentunit]  bar; width: 110
--   calls           value  Calls
--   mean_exec_time  value  Mean [ms]
--   rows_per_call   value  Rows a call
--   usename         label  User
--   datname         label  Database
--   nested          label  Nested
--   target          label  Target  hidden
--   queryid         label  Query ID
select
  coalesce(left(s.query, 300), 'statement ' || s.queryid) as query,
  s.share,
  s.calls,
  s.mean_exec_time,
  s.rows::double precision / nullif(s.calls, 0) as rows_per_call,
  s.usename,
  s.datname,
  case when not s.toplevel then 'in a function' end as nested,
  s.target,
  s.queryid::text as queryid
from monitoring.top_statements(
  ${target:sqlstring}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, 'calls', 10
) as s
order by s.calls desc, s.queryid
limit 10
