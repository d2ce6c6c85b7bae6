-- Fastest growing tenants
--
-- Size of each tenant's tables with indexes, and by how much it grew a day within the time range, the fastest first. A
-- month ahead is a straight line on from there: time to talk about plans, partitions or a database of its own. Sizes
-- are those of the last VACUUM or ANALYZE, and come in steps.
--
-- kind: table
-- unit: bytes
-- needs: tenant_activity
-- size: 12x8
-- columns:
--   tenant                label  Tenant  link: tenants
--   target                label  Target  link: infrastructure
--   size_bytes            value  Size
--   growth_bytes_per_day  value  Growth a day
--   growth_ratio          value  In the range [percentunit]
--   size_in_30_days       value  In 30 days
with activity as materialized (
  select a.time, a.target, a.tenant, a.size_bytes
  from monitoring.tenant_activity as a
  where a.tier = monitoring.tier('tenant_activity', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 170), $__timeFrom()::timestamptz)
    and a.time >= $__timeFrom()::timestamptz
    and a.time < $__timeTo()::timestamptz
    and a.target in ($target)
), sizes as (
  select
    a.target,
    a.tenant,
    min(a.time) as first_time,
    max(a.time) as last_time,
    regr_slope(a.size_bytes, date_part('epoch', a.time)) * 86400 as growth_bytes_per_day
  from activity as a
  where a.tenant in ($tenant) and a.size_bytes is not null
  group by a.target, a.tenant
)
select
  s.tenant,
  s.target,
  l.size_bytes,
  s.growth_bytes_per_day,
  l.size_bytes / nullif(f.size_bytes, 0) - 1 as growth_ratio,
  greatest(0, l.size_bytes + 30 * s.growth_bytes_per_day) as size_in_30_days
from sizes as s
join activity as f on f.target = s.target and f.tenant = s.tenant and f.time = s.first_time
join activity as l on l.target = s.target and l.tenant = s.tenant and l.time = s.last_time
order by s.growth_bytes_per_day desc nulls last, s.tenant, s.target
limit 50
