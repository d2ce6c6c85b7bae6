-- Statements that wait longest for the disk
--
-- Time spent reading and writing blocks, among the 500 statements that took most time in the range, and which part of
-- their execution time that was. It is measured only where the server has track_io_timing on: without it this is empty.
--
-- kind: table
-- unit: short
-- needs: stat_statements
-- size: 12x8
-- columns:
--   query           label  Statement  link: query_detail; width: 420
--   read_time       value  Reading [ms]
--   write_time      value  Writing [ms]
--   io_ratio        value  Of its time [percentunit]  bar; width: 110
--   calls           value  Calls
--   mean_exec_time  value  Mean [ms]
--   usename         label  User
--   datname         label  Database
--   nested          label  Nested
--   target          label  Target  hidden
--   queryid         label  Query ID
select
  coalesce(left(s.query, 300), 'statement ' || s.queryid) as query,
  s.read_time,
  s.write_time,
  (s.read_time + s.write_time) / nullif(s.total_exec_time, 0) as io_ratio,
  s.calls,
  s.mean_exec_time,
  s.usename,
  s.datname,
  case when not s.toplevel then 'in a function' end as nested,
  s.target,
  s.queryid::text as queryid
from (
  select
    t.*,
    t.shared_blk_read_time + t.local_blk_read_time + t.temp_blk_read_time as read_time,
    t.shared_blk_write_time + t.local_blk_write_time + t.temp_blk_write_time as write_time
  from monitoring.top_statements(
    ${target:sqlstring}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, 'total_exec_time', 500,
    '{
      shared_blk_read_time, local_blk_read_time, temp_blk_read_time,
      shared_blk_write_time, local_blk_write_time, temp_blk_write_time
    }'
  ) as t
) as s
where s.read_time + s.write_time > 0
order by s.read_time + s.write_time desc, s.queryid
limit 10
