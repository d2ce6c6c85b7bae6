-- Security events
--
-- Every event of [[tenancy.events]] a minute, by its name, over the length of the windows in which it was counted,
-- in points of 2 minutes or more. A peak
-- at an hour when nobody works, or a new level after a release, is worth a look at the table beside it.
--
-- kind: timeseries
-- unit: cpm
-- needs: tenant_events
-- size: 12x8
-- stack: yes
-- min: 0
-- columns:
--   time        time
--   event       label  Event
--   per_minute  value  A minute
with rates as materialized (
  select
    date_bin(greatest('$__interval_ms ms'::interval, interval '2 minutes'), e.time, timestamptz 'epoch') as time,
    e.target,
    e.event,
    (sum(e.count) * 60 / nullif(sum(e.window_seconds), 0))::double precision as per_minute
  from monitoring.tenant_events as e
  where e.tier = monitoring.tier('tenant_events', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
    and e.time >= $__timeFrom()::timestamptz
    and e.time < $__timeTo()::timestamptz
    and e.target in ($target)
  group by 1, 2, 3
), complete as (
  select n.time
  from (
    select
      w.time,
      count(distinct w.target) as targets,
      lag(count(distinct w.target)) over (order by w.time) as before,
      lead(count(distinct w.target)) over (order by w.time) as after
    from rates as w
    group by 1
  ) as n
  where (n.time + greatest('$__interval_ms ms'::interval, interval '2 minutes') <= $__timeTo()::timestamptz or n.targets >= coalesce(n.before, 0))
    and (n.time >= $__timeFrom()::timestamptz or n.targets >= coalesce(n.after, 0))
)
select
  x.time,
  x.event,
  sum(x.per_minute) as per_minute
from rates as x
join complete as c on c.time = x.time
group by 1, 2
order by 1, 2
