-- Open findings over time
--
-- Findings that fail and are not allowed, by severity, as they stood at each time, and the unknown ones. It should go
-- down; a step up names the hour at which something was opened.
--
-- kind: timeseries
-- unit: short
-- needs: finding, targets, isolation
-- size: 12x8
-- min: 0
-- columns:
--   time     time
--   p0       value  P0
--   p1       value  P1
--   p2       value  P2
--   p3       value  P3
--   unknown  value  Unknown
select
  p.time,
  count(f.target) filter (where f.status = 'fail' and f.severity = 'P0') as p0,
  count(f.target) filter (where f.status = 'fail' and f.severity = 'P1') as p1,
  count(f.target) filter (where f.status = 'fail' and f.severity = 'P2') as p2,
  count(f.target) filter (where f.status = 'fail' and f.severity = 'P3') as p3,
  count(f.target) filter (where f.status = 'unknown') as unknown
from (
  select generate_series(b.start, b.stop, greatest(($__timeTo()::timestamptz - $__timeFrom()::timestamptz) / 100, interval '15 seconds')) as time
  from (
    select
      greatest($__timeFrom()::timestamptz, min(t.first_seen)) as start,
      least($__timeTo()::timestamptz - interval '1 ms', max(t.last_poll)) as stop
    from monitoring.targets as t
    join monitoring.isolation as i on i.target = t.target
    where t.target in ($target)
    having count(*) > 0
  ) as b
) as p
left join (
  select x.target, x.status, x.severity, x.opened_at, x.closed_at
  from monitoring.finding as x
  where x.target in ($target)
    and x.allowed is null
    and x.opened_at < $__timeTo()::timestamptz
    and (x.closed_at is null or x.closed_at >= $__timeFrom()::timestamptz)
) as f on f.opened_at <= p.time and (f.closed_at is null or f.closed_at > p.time)
group by p.time
order by 1
