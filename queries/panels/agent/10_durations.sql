-- How long readings take
--
-- Time from asking to the last row over the last hour of the range: each metric on the target where it is slowest.
-- Network and waiting are included. A reading that takes a good part of the metric's interval cannot keep up. The
-- slowest first.
--
-- kind: table
-- unit: s
-- needs: snapshot
-- size: 12x8
-- columns:
--   metric          label  Metric
--   target          label  Slowest on  link: infrastructure
--   median_seconds  value  Half are below
--   p95_seconds     value  95% are below
--   max_seconds     value  Slowest
--   of_interval     value  Of the interval [percentunit]  thresholds: success, 0.25 warning, 0.75 critical
--   readings        value  Readings [short]
select
  w.metric,
  w.target,
  w.quantiles[1] as median_seconds,
  w.quantiles[2] as p95_seconds,
  w.max_seconds,
  w.quantiles[2] / nullif(w.nominal_interval_seconds, 0) as of_interval,
  w.readings
from (
  select distinct on (f.metric) f.*
  from (
    select
      s.metric,
      s.target,
      percentile_cont(array[0.5, 0.95]) within group (order by s.duration_seconds) as quantiles,
      max(s.duration_seconds) as max_seconds,
      max(s.nominal_interval_seconds) as nominal_interval_seconds,
      count(*) as readings
    from monitoring.snapshot as s
    where s.status = 'ok'
      and s.duration_seconds is not null
      and s.time >= greatest($__timeFrom()::timestamptz, $__timeTo()::timestamptz - interval '1 hour')
      and s.time < $__timeTo()::timestamptz
      and s.target in ($target)
    group by s.metric, s.target
  ) as f
  order by f.metric, f.quantiles[2] desc, f.target
) as w
order by w.quantiles[2] desc, w.metric
limit 50
