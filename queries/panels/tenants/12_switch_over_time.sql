-- Switch time over time
--
-- Time to become another tenant and to plan a query, cold (on a fresh connection) and warm: the median of the chosen
-- targets, and the slowest of them. It climbs with the number of schemas and the size of the catalog; the goal is below
-- 10 ms.
--
-- kind: timeseries
-- unit: s
-- needs: tenant_switch
-- size: 12x8
-- min: 0
-- thresholds: success, 0.01 warning, 0.1 critical
-- columns:
--   time          time
--   warm_median   value  Warm, median
--   warm_slowest  value  Warm, slowest
--   cold_median   value  Cold, median
--   cold_slowest  value  Cold, slowest
select
  date_bin(greatest('$__interval_ms ms'::interval, interval '15 minutes'), s.time, timestamptz 'epoch') as time,
  percentile_cont(0.5) within group (order by s.switch_seconds) filter (where s.kind = 'warm') as warm_median,
  max(s.switch_seconds) filter (where s.kind = 'warm') as warm_slowest,
  percentile_cont(0.5) within group (order by s.switch_seconds) filter (where s.kind = 'cold') as cold_median,
  max(s.switch_seconds) filter (where s.kind = 'cold') as cold_slowest
from monitoring.tenant_switch as s
where s.tier = monitoring.tier('tenant_switch', $__interval_ms, $__timeFrom()::timestamptz)
  and s.time >= $__timeFrom()::timestamptz
  and s.time < $__timeTo()::timestamptz
  and s.target in ($target)
group by 1
order by 1
