-- Share of the time that was watched
--
-- Which part of the time the chosen targets were read: good readings of `server`, which comes with every poll, each for
-- the interval at which the target is read now; targets count from their first poll on. Below 1 something is missing from
-- every chart, because the agent stood still or a target could not be reached. A single reading that is missing or late
-- does not count.
--
-- kind: timeseries
-- unit: percentunit
-- needs: coverage, server, targets, metric_health, rollups
-- size: 12x8
-- min: 0
-- max: 1
-- thresholds: critical, 0.9 warning, 0.99 success
-- columns:
--   time           time
--   watched_ratio  value  Watched
with tier as materialized (
  select
    monitoring.tier('server', $__interval_ms, $__timeFrom()::timestamptz) as name,
    (
      select coalesce(max(r.watermark) filter (where r.tier = '1h'), '-infinity')
      from monitoring.rollups as r where r.metric = 'server'
    ) as hours_until,
    (
      select coalesce(max(r.watermark) filter (where r.tier = '5m'), '-infinity')
      from monitoring.rollups as r where r.metric = 'server'
    ) as minutes_until,
    (
      select coalesce(max(r.dropped_until), '-infinity')
      from monitoring.rollups as r
      where r.metric = 'server' and r.tier = monitoring.tier('server', $__interval_ms, $__timeFrom()::timestamptz)
    ) as dropped_until
),
stretch as materialized (
  select
    greatest(
      date_bin(w.wide, $__timeFrom()::timestamptz + w.wide - interval '1 us', timestamptz 'epoch'), t.dropped_until
    ) as start,
    least($__timeTo()::timestamptz, now()) as stop,
    w.wide,
    extract(epoch from w.wide)::double precision as seconds
  from tier as t
  cross join (select greatest('$__interval_ms ms'::interval, case monitoring.tier('server', $__interval_ms, $__timeFrom()::timestamptz) when '1h' then interval '1 hour' else interval '5 minutes' end) as wide) as w
),
health as materialized (
  select t.target, t.first_seen, h.interval_seconds
  from monitoring.targets as t
  join monitoring.metric_health as h on h.target = t.target and h.metric = 'server'
  where t.target in ($target)
),
watched as materialized (
  select
    p.time,
    sum(
      case
        when (p.polls + 1) * h.interval_seconds
          < case when p.time + s.wide <= s.stop then s.seconds else extract(epoch from s.stop - p.time)::double precision end
        then p.polls * h.interval_seconds
        when p.time + s.wide <= s.stop then s.seconds
        else extract(epoch from s.stop - p.time)::double precision
      end
    ) as seconds
  from health as h
  cross join stretch as s
  cross join lateral (
    select
      date_bin(s.wide, x.time, timestamptz 'epoch') as time,
      sum(x.polls)::double precision as polls
    from (
      select c.time, c.polls
      from monitoring.coverage as c
      where c.metric = 'server' and c.polls > 0
        and c.tier = monitoring.tier('server', $__interval_ms, $__timeFrom()::timestamptz)
        and c.tier in ('5m', '1h')
        and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
        and c.target = h.target
      union all
      select c.time, c.polls
      from monitoring.coverage as c
      where c.metric = 'server' and c.polls > 0
        and c.tier = '5m'
        and monitoring.tier('server', $__interval_ms, $__timeFrom()::timestamptz) = '1h'
        and c.time >= (select t.hours_until from tier as t)
        and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
        and c.target = h.target
      union all
      select c.time, c.polls
      from monitoring.coverage as c
      where c.metric = 'server' and c.polls > 0
        and c.tier = 'raw'
        and c.time >= (select case when t.name = 'raw' then '-infinity' else t.minutes_until end from tier as t)
        and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
        and c.target = h.target
    ) as x
    group by 1
  ) as p
  group by 1
)
select
  g.time,
  least(coalesce(w.seconds, 0) / nullif(extract(epoch from least(g.time + g.wide, g.stop) - g.time)::double precision * k.targets, 0), 1)
    as watched_ratio
from (
  select
    generate_series(
      greatest(s.start, date_bin(s.wide, (select min(k.first_seen) from health as k) + s.wide - interval '1 us', timestamptz 'epoch')),
      s.stop - least(s.wide, interval '5 minutes'),
      s.wide
    ) as time,
    s.wide,
    s.stop
  from stretch as s
) as g
left join watched as w on w.time = g.time
cross join lateral (
  select count(*) as targets from health as k where k.first_seen < g.time + interval '1 second'
) as k
where k.targets > 0
order by 1
