-- Top 10 statements by time
--
-- The ten statements that took most of the execution time in the range, and their share of it. Where the server is
-- busy, the reason is usually the first or second of them. Click one for its history.
--
-- kind: table
-- unit: short
-- needs: stat_statements
-- size: 24x12
-- links: query_performance
-- columns:
--   query            label  Statement  link: query_detail; width: 520
--   share            value  Share [percentunit]  bar; width: 110
--   total_exec_time  value  Total time [ms]
--   calls            value  Calls
--   mean_exec_time   value  Mean [ms]
--   rows_per_call    value  Rows a call
--   hit_ratio        value  Cache hits [percentunit]
--   usename          label  User
--   datname          label  Database
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
  s.usename,
  s.datname,
  s.target,
  s.queryid::text as queryid
from monitoring.top_statements(${target:sqlstring}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, 'total_exec_time', 10) as s
order by s.total_exec_time desc, s.queryid
limit 10
