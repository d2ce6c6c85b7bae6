-- Calls a second
--
-- Top-level statements executed a second, over the seconds that were watched. A step up or down without a release or a
-- campaign deserves a look at what is new below.
--
-- kind: timeseries
-- unit: ops
-- needs: statement_totals, coverage
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
  where c.metric = 'statement_totals'
    and c.tier = monitoring.tier('statement_totals', $__interval_ms, $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target = ${target:sqlstring}
  group by 1
) as w
left join (
  select
    date_bin('$__interval_ms ms', s.time, timestamptz 'epoch') as time,
    sum(s.calls)::double precision as calls
  from monitoring.statement_totals as s
  where s.tier = monitoring.tier('statement_totals', $__interval_ms, $__timeFrom()::timestamptz)
    and s.time >= $__timeFrom()::timestamptz and s.time < $__timeTo()::timestamptz
    and s.target = ${target:sqlstring}
  group by 1
) as f using (time)
order by 1
