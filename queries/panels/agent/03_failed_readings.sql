-- Readings that failed
--
-- Readings that ended with an error, a target that could not be reached, or one that was refused because another server
-- answers in its place. The log of readings goes back a week as shipped, as the minutes do: before that, nothing is
-- shown.
--
-- kind: timeseries
-- unit: short
-- needs: snapshot, targets, rollups
-- size: 12x8
-- min: 0
-- stack: yes
-- columns:
--   time      time
--   status    label  Status
--   readings  value  Readings
with failed as (
  select
    date_bin('$__interval_ms ms', s.time, timestamptz 'epoch') as time,
    s.status,
    count(*) as readings
  from monitoring.snapshot as s
  where s.status <> 'ok'
    and s.status <> 'skipped'
    and s.time >= $__timeFrom()::timestamptz and s.time < $__timeTo()::timestamptz
    and s.target in ($target)
  group by 1, 2
),
known as materialized (
  select greatest(
    (select min(t.first_seen) from monitoring.targets as t where t.target in ($target)),
    (select max(r.dropped_until) from monitoring.rollups as r where r.tier = '1m')
  ) as since
)
select g.time, k.status, coalesce(f.readings, 0) as readings
from (select distinct f.status from failed as f) as k
cross join generate_series(
  date_bin('$__interval_ms ms', greatest($__timeFrom()::timestamptz + '$__interval_ms ms'::interval, (select x.since from known as x)), timestamptz 'epoch'),
  least($__timeTo()::timestamptz - interval '1 us', now()), '$__interval_ms ms'::interval
) as g (time)
left join failed as f on f.time = g.time and f.status = k.status
order by 1, 2
