-- Watched by target
--
-- Which part of the range each target was read, since its first poll if that was later: good readings of `server`, which
-- comes with every poll, each for the interval at which the target is read now. What is missing was lost, because the
-- agent stood still or the target could not be reached. The worst first.
--
-- kind: table
-- unit: short
-- needs: coverage, server, targets, metric_health, rollups
-- size: 12x8
-- columns:
--   target          label  Target  link: infrastructure
--   watched_ratio   value  Watched [percentunit]  thresholds: critical, 0.9 warning, 0.99 success
--   missed_seconds  value  Missed [dtdurations]
--   polls           value  Polls
--   last_good_poll  time   Last good poll
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
      case t.name
        when '1h' then date_bin('1 hour', $__timeFrom()::timestamptz + interval '1 hour' - interval '1 us', timestamptz 'epoch')
        when '5m' then date_bin('5 minutes', $__timeFrom()::timestamptz + interval '5 minutes' - interval '1 us', timestamptz 'epoch')
        else $__timeFrom()::timestamptz
      end,
      t.dropped_until
    ) as start,
    least($__timeTo()::timestamptz, now()) as stop
  from tier as t
),
polled as (
  select c.time, c.target, c.polls
  from monitoring.coverage as c
  where c.metric = 'server' and c.polls > 0
    and c.tier = monitoring.tier('server', $__interval_ms, $__timeFrom()::timestamptz)
    and c.tier in ('5m', '1h')
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target in ($target)
  union all
  select c.time, c.target, c.polls
  from monitoring.coverage as c
  where c.metric = 'server' and c.polls > 0
    and c.tier = '5m'
    and monitoring.tier('server', $__interval_ms, $__timeFrom()::timestamptz) = '1h'
    and c.time >= greatest((select t.hours_until from tier as t), (select s.start from stretch as s))
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target in ($target)
  union all
  select c.time, c.target, c.polls
  from monitoring.coverage as c
  where c.metric = 'server' and c.polls > 0
    and c.tier = 'raw'
    and c.time >= (
      select case when t.name = 'raw' then s.start else greatest(t.minutes_until, s.start) end
      from tier as t cross join stretch as s
    )
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target in ($target)
),
health as materialized (
  select h.target, h.interval_seconds
  from monitoring.metric_health as h
  where h.metric = 'server'
)
select
  t.target,
  case when (w.polls + 1.5) * h.interval_seconds >= e.seconds then 1 else coalesce(w.polls, 0) * h.interval_seconds / e.seconds end
    as watched_ratio,
  case when (w.polls + 1.5) * h.interval_seconds >= e.seconds then 0 else e.seconds - coalesce(w.polls, 0) * h.interval_seconds end
    as missed_seconds,
  coalesce(w.polls, 0)::bigint as polls,
  t.last_good_poll
from monitoring.targets as t
cross join stretch as s
left join health as h on h.target = t.target
left join (
  select p.target, sum(p.polls)::double precision as polls, min(p.time) as first
  from polled as p
  group by 1
) as w on w.target = t.target
cross join lateral (
  select extract(epoch from s.stop - greatest(s.start, least(t.first_seen, w.first)))::double precision as seconds
) as e
where t.target in ($target)
  and e.seconds > 0
order by 2 nulls first, t.target
limit 50
