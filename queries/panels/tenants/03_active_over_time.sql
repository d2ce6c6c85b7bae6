-- Active tenants over time
--
-- In each interval: tenants that did anything, those of which it is known, and all. A fall of the active ones while the
-- known stay is an outage that tenants feel; a fall of the known ones is the monitoring's.
--
-- kind: timeseries
-- unit: short
-- needs: active_tenants
-- size: 10x6
-- min: 0
-- columns:
--   time     time
--   active   value  Active
--   known    value  Known
--   tenants  value  All
select
  b.time,
  sum(case when b.known > 0 then b.active end) as active,
  sum(b.known) as known,
  sum(b.tenants) as tenants
from (
  select
    date_bin('$__interval_ms ms', a.time, timestamptz 'epoch') as time,
    a.target,
    max(a.active) as active,
    max(a.known) as known,
    max(a.tenants) as tenants
  from monitoring.active_tenants as a
  where a.tier = monitoring.tier('active_tenants', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
    and a.time >= $__timeFrom()::timestamptz
    and a.time < $__timeTo()::timestamptz
    and a.target in ($target)
  group by 1, 2
) as b
group by 1
order by 1
