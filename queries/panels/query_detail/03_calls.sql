-- Calls a second
--
-- How often the statement is executed, over the seconds that were watched; 0 where it did not run.
--
-- kind: timeseries
-- unit: ops
-- needs: stat_statements, coverage
-- size: 8x8
-- min: 0
-- columns:
--   time  time
--   calls_per_second  value  Calls
select
  w.time,
  case when f.time is null then 0 else f.calls end / w.covered_seconds as calls_per_second
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
    sum(s.calls)::double precision as calls
  from monitoring.stat_statements as s
  where s.tier = monitoring.tier('stat_statements', $__interval_ms, $__timeFrom()::timestamptz)
    and s.time >= $__timeFrom()::timestamptz and s.time < $__timeTo()::timestamptz
    and s.target = ${target:sqlstring}
    and s.queryid = least(greatest(substring(${queryid:sqlstring} from '^-?[0-9]{1,19}$')::numeric, -9223372036854775808), 9223372036854775807)::bigint
  group by 1
) as f using (time)
order by 1
