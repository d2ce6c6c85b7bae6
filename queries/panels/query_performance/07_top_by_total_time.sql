-- Top statements by total time
--
-- The twenty statements that took most of the target's execution time in the range, and their share of it. This is
-- where tuning pays: halving a statement with a share of 40% frees a fifth of the load. A nested statement runs inside a
-- function, so that its time is also that of the statement that called it. Click a statement for its history.
--
-- kind: table
-- unit: short
-- needs: stat_statements
-- size: 24x12
-- columns:
--   query            label  Statement  link: query_detail; width: 520
--   share            value  Share [percentunit]  bar; width: 110
--   total_exec_time  value  Total time [ms]
--   calls            value  Calls
--   mean_exec_time   value  Mean [ms]
--   rows_per_call    value  Rows a call
--   hit_ratio        value  Cache hits [percentunit]
--   partial          label  Lower bound
--   usename          label  User
--   datname          label  Database
--   nested           label  Nested
--   target           label  Target  hidden
--   queryid          label  Query ID
select
  coalesce(left(s.query, 300), 'statement ' || s.queryid) as query,
  s.share,
  s.total_exec_time,
  s.calls,
  s.mean_exec_time,
  s.rows::double precision / nullif(s.calls, 0) as rows_per_call,
  s.shared_blks_hit::double precision / nullif(s.shared_blks_hit + s.shared_blks_read, 0) as hit_ratio,
  case when s.is_partial then 'yes' end as partial,
  s.usename,
  s.datname,
  case when not s.toplevel then 'in a function' end as nested,
  s.target,
  s.queryid::text as queryid
from monitoring.top_statements(
  ${target:sqlstring}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, 'total_exec_time', 20
) as s
order by s.total_exec_time desc, s.queryid
limit 20
