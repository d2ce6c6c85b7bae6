-- Statements executing at a time
--
-- Execution time a second of all top-level statements, which is how many were executing on average at any moment, waits
-- included. More of them than the server has cores means that they queue for something.
--
-- kind: timeseries
-- unit: short
-- needs: statement_totals, coverage
-- size: 8x8
-- min: 0
-- columns:
--   time  time
--   busy_sessions  value  Executing
select
  w.time,
  case when f.time is null then 0 else f.total_exec_time end / 1000 / w.covered_seconds as busy_sessions
from (
  select
    date_bin('$__interval_ms ms', c.time, timestamptz 'epoch') as time,
    nullif(sum(c.covered_seconds), 0) as covered_seconds
  from monitoring.coverage as c
  where c.metric = 'statement_totals'
    and c.tier = monitoring.tier('statement_totals', $__interval_ms, $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target = ${target:sqlstring}
  group by 1
) as w
left join (
  select
    date_bin('$__interval_ms ms', s.time, timestamptz 'epoch') as time,
    sum(s.total_exec_time) as total_exec_time
  from monitoring.statement_totals as s
  where s.tier = monitoring.tier('statement_totals', $__interval_ms, $__timeFrom()::timestamptz)
    and s.time >= $__timeFrom()::timestamptz and s.time < $__timeTo()::timestamptz
    and s.target = ${target:sqlstring}
  group by 1
) as f using (time)
order by 1
