-- Security events
--
-- Every event of [[tenancy.events]] a minute, by its name, over the length of the windows in which it was counted. A peak
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
select
  x.time,
  x.event,
  sum(x.per_minute) as per_minute
from (
  select
    date_bin('$__interval_ms ms', e.time, timestamptz 'epoch') as time,
    e.target,
    e.event,
    (sum(e.count) * 60 / nullif(sum(e.window_seconds), 0))::double precision as per_minute
  from monitoring.tenant_events as e
  where e.tier = monitoring.tier('tenant_events', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
    and e.time >= $__timeFrom()::timestamptz
    and e.time < $__timeTo()::timestamptz
    and e.target in ($target)
  group by 1, 2, 3
) as x
group by 1, 2
order by 1, 2
