-- Tenants by load
--
-- One row for each tenant of each target, the busiest first: rows read and written a second over the time that was
-- watched, its share of the load of all tenants of that target, sessions, size, and how much the size grew a day (a
-- straight line through the range). Click a tenant to look at it alone. What nothing tells is empty, and not 0. Long ranges are in
-- whole hours, or days.
--
-- kind: table
-- unit: short
-- needs: tenant_activity, coverage
-- size: 24x12
-- columns:
--   tenant                label  Tenant  link: tenants; width: 180
--   target                label  Target  link: infrastructure; width: 160
--   load                  value  Rows a second [ops]
--   share                 value  Share of the target's load [percentunit]  bar
--   read_ratio            value  Reads [percentunit]
--   sessions              value  Sessions
--   active_sessions_max   value  At work, at most
--   size_bytes            value  Size [bytes]
--   growth_bytes_per_day  value  Growth a day [bytes]
with activity as materialized (
  select a.time, a.target, a.tenant, a.tup_read + a.tup_written as touched, a.tup_read, a.sessions, a.active_sessions_max, a.size_bytes
  from monitoring.tenant_activity as a
  where a.tier = monitoring.tier('tenant_activity', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 170), $__timeFrom()::timestamptz)
    and a.time >= $__timeFrom()::timestamptz
    and a.time < $__timeTo()::timestamptz
    and a.target in ($target)
), watched as materialized (
  select c.time, c.target, sum(c.covered_seconds) as covered_seconds
  from monitoring.coverage as c
  where c.metric = 'tenant_activity'
    and c.tier = monitoring.tier('tenant_activity', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 170), $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz
    and c.time < $__timeTo()::timestamptz
    and c.target in ($target)
  group by 1, 2
), by_tenant as (
  select
    a.target,
    a.tenant,
    sum(a.tup_read) as tup_read,
    sum(a.touched) as touched,
    sum(c.covered_seconds) filter (where a.touched is not null) as seconds,
    avg(a.sessions) as sessions,
    max(a.active_sessions_max) as active_sessions_max,
    max(a.time) filter (where a.size_bytes is not null) as sized_at,
    regr_slope(a.size_bytes, date_part('epoch', a.time)) * 86400 as growth_bytes_per_day
  from activity as a
  left join watched as c on c.time = a.time and c.target = a.target
  group by a.target, a.tenant
), shared as (
  select b.*, sum(b.touched) over (partition by b.target) as touched_by_all
  from by_tenant as b
)
select
  s.tenant,
  s.target,
  (s.touched / nullif(s.seconds, 0))::double precision as load,
  (s.touched / nullif(s.touched_by_all, 0))::double precision as share,
  (s.tup_read / nullif(s.touched, 0))::double precision as read_ratio,
  s.sessions,
  s.active_sessions_max,
  a.size_bytes,
  s.growth_bytes_per_day
from shared as s
left join activity as a on a.target = s.target and a.tenant = s.tenant and a.time = s.sized_at
where s.tenant in ($tenant)
order by load desc nulls last, s.tenant, s.target
limit 50
