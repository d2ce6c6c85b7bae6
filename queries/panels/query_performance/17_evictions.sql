-- Evictions from pg_stat_statements
--
-- How often pg_stat_statements made room by dropping the entries that were called least. A few are harmless; a steady
-- stream loses statements between two snapshots: raise pg_stat_statements.max.
--
-- kind: timeseries
-- unit: short
-- needs: stat_statements_info
-- size: 12x8
-- min: 0
-- thresholds: success, 1 warning
-- columns:
--   time       time
--   evictions  value  Evictions
select
  date_bin('$__interval_ms ms', i.time, timestamptz 'epoch') as time,
  sum(i.dealloc) as evictions
from monitoring.stat_statements_info as i
where i.tier = monitoring.tier('stat_statements_info', $__interval_ms, $__timeFrom()::timestamptz)
  and i.time >= $__timeFrom()::timestamptz and i.time < $__timeTo()::timestamptz
  and i.target = ${target:sqlstring}
group by 1
order by 1
