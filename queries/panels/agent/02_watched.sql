-- Share of the time that was watched
--
-- Which part of the time the chosen targets were watched, as the readings of `server` tell, which comes with every poll;
-- targets count from their first poll on. Below 1 something is missing from every chart, because the agent stood still or
-- a target could not be reached. A single reading that is missing or late does not count.
--
-- kind: timeseries
-- unit: percentunit
-- needs: coverage, server, targets
-- size: 12x8
-- min: 0
-- max: 1
-- thresholds: critical, 0.9 warning, 0.99 success
-- columns:
--   time           time
--   watched_ratio  value  Watched
with step as (
  select
    w.width,
    extract(epoch from w.width)::double precision as seconds,
    greatest(w.width, '$__interval_ms ms'::interval) as wide
  from (
    select
      case monitoring.tier('server', $__interval_ms, $__timeFrom()::timestamptz)
        when '1d' then interval '1 day' when '1h' then interval '1 hour' else interval '5 minutes'
      end as width
  ) as w
),
bucket as (
  select c.time, c.target, c.covered_seconds, c.polls
  from monitoring.coverage as c
  where c.metric = 'server'
    and c.tier = monitoring.tier('server', $__interval_ms, $__timeFrom()::timestamptz)
    and monitoring.tier('server', $__interval_ms, $__timeFrom()::timestamptz) in ('5m', '1h', '1d')
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target in ($target)
  union all
  select
    date_bin(interval '5 minutes', c.time, timestamptz 'epoch') as time,
    c.target,
    sum(c.covered_seconds) as covered_seconds,
    sum(c.polls) as polls
  from monitoring.coverage as c
  where c.metric = 'server'
    and c.tier = monitoring.tier('server', $__interval_ms, $__timeFrom()::timestamptz)
    and monitoring.tier('server', $__interval_ms, $__timeFrom()::timestamptz) in ('raw', '1m')
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target in ($target)
  group by 1, 2
),
watched as materialized (
  select
    date_bin(s.wide, b.time, timestamptz 'epoch') as time,
    sum(case when b.covered_seconds * (1 + 1.5 / b.polls) >= s.seconds then s.seconds else b.covered_seconds end)
      as covered_seconds
  from bucket as b
  cross join step as s
  group by 1
),
known as materialized (
  select t.first_seen from monitoring.targets as t where t.target in ($target)
)
select
  g.time,
  least(coalesce(w.covered_seconds, 0) / nullif(extract(epoch from g.wide)::double precision * k.targets, 0), 1)
    as watched_ratio
from (
  select generate_series(f.first, f.last, f.wide) as time, f.wide
  from (
    select (select min(w.time) from watched as w) as first, (select max(w.time) from watched as w) as last, s.wide
    from step as s
  ) as f
) as g
left join watched as w on w.time = g.time
cross join lateral (
  select count(*) as targets from known as k where k.first_seen <= g.time
) as k
where g.time >= $__timeFrom()::timestamptz
  and g.time + g.wide <= $__timeTo()::timestamptz
order by 1
