-- Sessions by tenant
--
-- Sessions of the eight chosen tenants with the most of them, on average over each interval. A tenant that holds most of
-- the connections starves the others: limit its role (CONNECTION LIMIT) or its pool. Known where each tenant has a role
-- or a tag in application_name.
--
-- kind: timeseries
-- unit: short
-- needs: tenant_activity
-- size: 12x8
-- min: 0
-- columns:
--   time      time
--   tenant    label  Tenant
--   sessions  value  Sessions
with top as materialized (
  select a.target, a.tenant
  from monitoring.tenant_activity as a
  where a.tier = monitoring.tier('tenant_activity', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 170), $__timeFrom()::timestamptz)
    and a.time >= $__timeFrom()::timestamptz
    and a.time < $__timeTo()::timestamptz
    and a.target in ($target)
    and a.tenant in ($tenant)
  group by a.target, a.tenant
  order by avg(a.sessions) desc nulls last, a.target, a.tenant
  limit 8
)
select
  date_bin('$__interval_ms ms', a.time, timestamptz 'epoch') as time,
  a.tenant || ' (' || a.target || ')' as tenant,
  avg(a.sessions) as sessions
from monitoring.tenant_activity as a
join top as t on t.target = a.target and t.tenant = a.tenant
where a.tier = monitoring.tier('tenant_activity', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
  and a.time >= $__timeFrom()::timestamptz
  and a.time < $__timeTo()::timestamptz
  and a.target in ($target)
group by 1, 2
order by 1, 2
