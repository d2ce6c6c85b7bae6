-- Size of the largest tenants
--
-- Tables with TOAST and indexes of the eight largest of the chosen tenants, as VACUUM or ANALYZE saw them last. A jump
-- down is a purge or a rewrite; a steep climb deserves a question.
--
-- kind: timeseries
-- unit: bytes
-- needs: tenant_activity
-- size: 12x8
-- min: 0
-- columns:
--   time        time
--   tenant      label  Tenant
--   size_bytes  value  Size
with activity as materialized (
  select a.time, a.target, a.tenant, a.size_bytes
  from monitoring.tenant_activity as a
  where a.tier = monitoring.tier('tenant_activity', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 170), $__timeFrom()::timestamptz)
    and a.time >= $__timeFrom()::timestamptz
    and a.time < $__timeTo()::timestamptz
    and a.target in ($target)
), top as (
  select a.target, a.tenant
  from activity as a
  where a.tenant in ($tenant)
  group by a.target, a.tenant
  order by max(a.size_bytes) desc nulls last, a.target, a.tenant
  limit 8
)
select
  date_bin('$__interval_ms ms', a.time, timestamptz 'epoch') as time,
  a.tenant || ' (' || a.target || ')' as tenant,
  avg(a.size_bytes) as size_bytes
from activity as a
join top as t on t.target = a.target and t.tenant = a.tenant
group by 1, 2
order by 1, 2
