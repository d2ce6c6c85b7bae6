-- Mean time of a call
--
-- Execution time of all top-level statements by their calls. It rises when statements get slower, and also when the mix
-- changes, which the tables below tell apart.
--
-- kind: timeseries
-- unit: ms
-- needs: statement_totals, coverage
-- size: 8x8
-- min: 0
-- columns:
--   time  time
--   mean_exec_time  value  Mean time
select
  w.time,
  f.total_exec_time / nullif(f.calls, 0) as mean_exec_time
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
    sum(s.calls)::double precision as calls,
    sum(s.total_exec_time) as total_exec_time
  from monitoring.statement_totals as s
  where s.tier = monitoring.tier('statement_totals', $__interval_ms, $__timeFrom()::timestamptz)
    and s.time >= $__timeFrom()::timestamptz and s.time < $__timeTo()::timestamptz
    and s.target = ${target:sqlstring}
  group by 1
) as f using (time)
order by 1
