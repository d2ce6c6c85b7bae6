-- Load by tenant
--
-- Rows read and written a second: the eight chosen tenants with the most in the time range, and all other tenants of the
-- chosen targets together. A band that widens while the others thin out is a tenant that takes the database from them:
-- see the noisy neighbours below. A point is of 2 minutes or more; a gap is a stretch that nobody watched.
--
-- kind: timeseries
-- unit: ops
-- needs: tenant_activity, coverage
-- size: 24x8
-- stack: yes
-- min: 0
-- columns:
--   time    time
--   tenant  label  Tenant
--   load    value  Rows a second
with top as materialized (
  select a.target, a.tenant
  from monitoring.tenant_activity as a
  where a.tier = monitoring.tier('tenant_activity', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 170), $__timeFrom()::timestamptz)
    and a.time >= $__timeFrom()::timestamptz
    and a.time < $__timeTo()::timestamptz
    and a.target in ($target)
    and a.tenant in ($tenant)
  group by a.target, a.tenant
  order by sum(a.tup_read + a.tup_written) desc nulls last, a.target, a.tenant
  limit 8
), by_time as (
  select a.time, a.target, t.tenant, sum(a.tup_read + a.tup_written) as touched
  from monitoring.tenant_activity as a
  left join top as t on t.target = a.target and t.tenant = a.tenant
  where a.tier = monitoring.tier('tenant_activity', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
    and a.time >= $__timeFrom()::timestamptz
    and a.time < $__timeTo()::timestamptz
    and a.target in ($target)
  group by 1, 2, 3
), watched as materialized (
  select c.time, c.target, sum(c.covered_seconds) as covered_seconds
  from monitoring.coverage as c
  where c.metric = 'tenant_activity'
    and c.tier = monitoring.tier('tenant_activity', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz
    and c.time < $__timeTo()::timestamptz
    and c.target in ($target)
  group by 1, 2
), complete as (
  select n.time
  from (
    select
      w.time,
      count(*) as targets,
      lag(count(*)) over (order by w.time) as before,
      lead(count(*)) over (order by w.time) as after
    from (
      select distinct date_bin(greatest('$__interval_ms ms'::interval, interval '2 minutes'), x.time, timestamptz 'epoch') as time, x.target from watched as x
    ) as w
    group by 1
  ) as n
  where (n.time + greatest('$__interval_ms ms'::interval, interval '2 minutes') <= $__timeTo()::timestamptz or n.targets >= coalesce(n.before, 0))
    and (n.time >= $__timeFrom()::timestamptz or n.targets >= coalesce(n.after, 0))
)
select
  x.time,
  x.tenant,
  sum(x.load) as load
from (
  select
    date_bin(greatest('$__interval_ms ms'::interval, interval '2 minutes'), b.time, timestamptz 'epoch') as time,
    coalesce(b.tenant || ' (' || b.target || ')', 'All others') as tenant,
    b.target,
    (sum(b.touched) / nullif(sum(c.covered_seconds) filter (where b.touched is not null), 0))::double precision as load
  from by_time as b
  left join watched as c on c.time = b.time and c.target = b.target
  group by 1, 2, 3
) as x
join complete as c on c.time = x.time
group by 1, 2
order by 1, 2
