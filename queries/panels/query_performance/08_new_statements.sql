-- New statements
--
-- Statements that ran in the range and not in the stretch of the same length just before it, among the 500 that took
-- most time, the first of these first. After a release they are what it brought along. It says nothing where less than
-- half of the stretch before was watched.
--
-- kind: table
-- unit: short
-- needs: stat_statements, coverage
-- size: 12x8
-- columns:
--   query            label  Statement  link: query_detail; width: 420
--   total_exec_time  value  Total time [ms]
--   share            value  Share [percentunit]  bar; width: 110
--   calls            value  Calls
--   mean_exec_time   value  Mean [ms]
--   usename          label  User
--   datname          label  Database
--   nested           label  Nested
--   target           label  Target  hidden
--   queryid          label  Query ID
select
  coalesce(left(n.query, 300), 'statement ' || n.queryid) as query,
  n.total_exec_time,
  n.share,
  n.calls,
  n.mean_exec_time,
  n.usename,
  n.datname,
  case when not n.toplevel then 'in a function' end as nested,
  n.target,
  n.queryid::text as queryid
from monitoring.top_statements(
  ${target:sqlstring}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, 'total_exec_time', 500, '{}',
  $__timeFrom()::timestamptz - ($__timeTo()::timestamptz - $__timeFrom()::timestamptz)
) as n
where n.calls_before = 0
  and (
    select sum(c.covered_seconds)
    from monitoring.coverage as c
    where c.metric = 'stat_statements'
      and c.tier = monitoring.tier(
        'stat_statements', $__interval_ms,
        $__timeFrom()::timestamptz - ($__timeTo()::timestamptz - $__timeFrom()::timestamptz)
      )
      and c.time >= $__timeFrom()::timestamptz - ($__timeTo()::timestamptz - $__timeFrom()::timestamptz)
      and c.time < $__timeFrom()::timestamptz
      and c.target = ${target:sqlstring}
  ) >= extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) / 2
order by n.total_exec_time desc, n.queryid
limit 10
