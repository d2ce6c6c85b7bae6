-- Mean time of a call
--
-- Execution time of one call, and planning time where the server tracks it (track_planning). A step up with the same
-- rows a call is often another plan; one that follows the rows is more data.
--
-- kind: timeseries
-- unit: ms
-- needs: stat_statements, coverage
-- size: 8x8
-- min: 0
-- columns:
--   time  time
--   mean_exec_time  value  Executing
--   mean_plan_time  value  Planning
select
  w.time,
  f.total_exec_time / nullif(f.calls, 0) as mean_exec_time,
  f.total_plan_time / nullif(f.plans, 0) as mean_plan_time
from (
  select
    date_bin('$__interval_ms ms', c.time, timestamptz 'epoch') as time,
    nullif(sum(c.covered_seconds), 0) as covered_seconds
  from monitoring.coverage as c
  where c.metric = 'stat_statements'
    and c.tier = monitoring.tier('stat_statements', $__interval_ms, $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target = ${target:sqlstring}
  group by 1
) as w
left join (
  select
    date_bin('$__interval_ms ms', s.time, timestamptz 'epoch') as time,
    sum(s.calls)::double precision as calls,
    sum(s.total_exec_time) as total_exec_time,
    sum(s.plans)::double precision as plans,
    sum(s.total_plan_time) as total_plan_time
  from monitoring.stat_statements as s
  where s.tier = monitoring.tier('stat_statements', $__interval_ms, $__timeFrom()::timestamptz)
    and s.time >= $__timeFrom()::timestamptz and s.time < $__timeTo()::timestamptz
    and s.target = ${target:sqlstring}
    and s.queryid = least(greatest(substring(${queryid:sqlstring} from '^-?[0-9]{1,19}$')::numeric, -9223372036854775808), 9223372036854775807)::bigint
  group by 1
) as f using (time)
order by 1
