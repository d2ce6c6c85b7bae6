-- Active tenants over time
--
-- In each interval, of 2 minutes or more: tenants that did anything at one time in it, those of which it is known, and
-- all. A fall of the active ones while the
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
with polled as materialized (
  select
    date_bin(greatest('$__interval_ms ms'::interval, interval '2 minutes'), a.time, timestamptz 'epoch') as time,
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
), complete as (
  select n.time
  from (
    select
      w.time,
      count(*) as targets,
      lag(count(*)) over (order by w.time) as before,
      lead(count(*)) over (order by w.time) as after
    from polled as w
    group by 1
  ) as n
  where (n.time + greatest('$__interval_ms ms'::interval, interval '2 minutes') <= $__timeTo()::timestamptz or n.targets >= coalesce(n.before, 0))
    and (n.time >= $__timeFrom()::timestamptz or n.targets >= coalesce(n.after, 0))
)
select
  b.time,
  sum(case when b.known > 0 then b.active end) as active,
  sum(b.known) as known,
  sum(b.tenants) as tenants
from polled as b
join complete as c on c.time = b.time
group by 1
order by 1
