-- When tenants are active
--
-- The 20 chosen tenants with the most load: how busy each one is, compared with its own busiest interval of the time
-- range. Dark everywhere at once is an outage; a row that is bright at night is a batch, or somebody who should not be
-- there. What is not known is left out.
--
-- kind: heatmap
-- unit: percentunit
-- needs: tenant_activity, coverage
-- size: 24x12
-- min: 0
-- max: 1
-- columns:
--   time    time
--   tenant  label  Tenant
--   ratio   value  Of its own peak
with activity as materialized (
  select a.time, a.target, a.tenant, a.tup_read + a.tup_written as touched
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
  order by sum(a.touched) desc nulls last, a.target, a.tenant
  limit 20
), watched as materialized (
  select c.time, c.target, sum(c.covered_seconds) as covered_seconds
  from monitoring.coverage as c
  where c.metric = 'tenant_activity'
    and c.tier = monitoring.tier('tenant_activity', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 170), $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz
    and c.time < $__timeTo()::timestamptz
    and c.target in ($target)
  group by 1, 2
), loads as (
  select
    date_bin('$__interval_ms ms', a.time, timestamptz 'epoch') as time,
    a.target,
    a.tenant,
    (sum(a.touched)
      / nullif(sum(c.covered_seconds) filter (where a.touched is not null), 0))::double precision as load
  from activity as a
  join top as t on t.target = a.target and t.tenant = a.tenant
  left join watched as c on c.time = a.time and c.target = a.target
  group by 1, 2, 3
)
select
  l.time,
  l.tenant || ' (' || l.target || ')' as tenant,
  l.load / nullif(max(l.load) over (partition by l.target, l.tenant), 0) as ratio
from loads as l
where l.load is not null
order by 1, 2
