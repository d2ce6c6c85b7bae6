-- Database time by statement
--
-- How many executions of a statement were under way on average, for the eight top-level statements that took most time
-- in the range, and the rest together. The height of the stack is the target's load; a band that grows is the culprit.
--
-- kind: timeseries
-- unit: short
-- needs: stat_statements, statement_totals, coverage
-- size: 24x12
-- min: 0
-- stack: yes
-- columns:
--   time           time
--   statement      label  Statement
--   busy_sessions  value  Executing
with winner as materialized (
  select
    t.queryid,
    coalesce(min(left(regexp_replace(t.query, '\s+', ' ', 'g'), 60)), 'statement') || ' · ' || t.queryid as statement
  from monitoring.top_statements(
    ${target:sqlstring}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, 'total_exec_time', 50, '{}'
  ) as t
  where t.toplevel
  group by t.queryid
  order by sum(t.total_exec_time) desc, t.queryid
  limit 8
),
part as materialized (
  select
    date_bin('$__interval_ms ms', s.time, timestamptz 'epoch') as time,
    w.statement,
    sum(s.total_exec_time) as total_exec_time
  from winner as w
  join monitoring.stat_statements as s using (queryid)
  where s.tier = monitoring.tier('stat_statements', $__interval_ms * 3, $__timeFrom()::timestamptz)
    and s.time >= $__timeFrom()::timestamptz and s.time < $__timeTo()::timestamptz
    and s.target = ${target:sqlstring}
    and s.toplevel
  group by 1, 2
),
whole as (
  select
    date_bin('$__interval_ms ms', s.time, timestamptz 'epoch') as time,
    sum(s.total_exec_time) as total_exec_time
  from monitoring.statement_totals as s
  where s.tier = monitoring.tier('statement_totals', $__interval_ms * 3, $__timeFrom()::timestamptz)
    and s.time >= $__timeFrom()::timestamptz and s.time < $__timeTo()::timestamptz
    and s.target = ${target:sqlstring}
  group by 1
)
select
  f.time,
  f.statement,
  f.total_exec_time / 1000 / v.covered_seconds as busy_sessions
from (
  select p.time, p.statement, p.total_exec_time
  from part as p
  union all
  select a.time, 'all others', a.total_exec_time - coalesce(p.total_exec_time, 0)
  from whole as a
  left join (
    select x.time, sum(x.total_exec_time) as total_exec_time
    from part as x
    group by 1
  ) as p using (time)
  where a.total_exec_time - coalesce(p.total_exec_time, 0) > a.total_exec_time / 1000000
) as f
join (
  select
    date_bin('$__interval_ms ms', c.time, timestamptz 'epoch') as time,
    nullif(sum(c.covered_seconds), 0) as covered_seconds
  from monitoring.coverage as c
  where c.metric = 'stat_statements'
    and c.tier = monitoring.tier('stat_statements', $__interval_ms * 3, $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target = ${target:sqlstring}
  group by 1
) as v using (time)
order by 1, f.statement
