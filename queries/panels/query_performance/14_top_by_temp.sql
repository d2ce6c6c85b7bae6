-- Statements that spill to temporary files
--
-- Statements by blocks written to temporary files, which happens when a sort or a hash does not fit in work_mem. The
-- share is of all such blocks. An empty table is the good case.
--
-- kind: table
-- unit: short
-- needs: stat_statements
-- size: 12x8
-- columns:
--   query              label  Statement  link: query_detail; width: 420
--   share              value  Share [percentunit]  bar; width: 110
--   temp_blks_written  value  Blocks written
--   temp_blks_read     value  Blocks read
--   calls              value  Calls
--   mean_exec_time     value  Mean [ms]
--   usename            label  User
--   datname            label  Database
--   nested             label  Nested
--   target             label  Target  hidden
--   queryid            label  Query ID
select
  coalesce(left(s.query, 300), 'statement ' || s.queryid) as query,
  s.share,
  s.temp_blks_written,
  s.temp_blks_read,
  s.calls,
  s.mean_exec_time,
  s.usename,
  s.datname,
  case when not s.toplevel then 'in a function' end as nested,
  s.target,
  s.queryid::text as queryid
from monitoring.top_statements(
  ${target:sqlstring}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, 'temp_blks_written', 10
) as s
order by s.temp_blks_written desc, s.queryid
limit 10
