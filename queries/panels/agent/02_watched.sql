-- Share of the time that was watched
--
-- Which part of the time the chosen targets were watched, as the readings of `server` tell, which comes with every poll;
-- targets count from their first poll on. Below 1 something is missing from every chart: the agent stood still, or a
-- target could not be reached.
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
  select greatest(
    '$__interval_ms ms'::interval,
    case monitoring.tier('server', $__interval_ms, $__timeFrom()::timestamptz)
      when '1d' then interval '1 day' when '1h' then interval '1 hour' else interval '5 minutes'
    end
  ) as width
),
watched as (
  select w.time, sum(w.covered_seconds) as covered_seconds
  from (
    select
      date_bin(s.width, c.time, timestamptz 'epoch') as time,
      c.target,
      least(sum(c.covered_seconds), extract(epoch from max(s.width))::double precision) as covered_seconds
    from monitoring.coverage as c
    cross join step as s
    where c.metric = 'server'
      and c.tier = monitoring.tier('server', $__interval_ms, $__timeFrom()::timestamptz)
      and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
      and c.target in ($target)
    group by 1, 2
  ) as w
  group by 1
),
known as (
  select min(w.time) as first, max(w.time) as last from watched as w
)
select
  g.time,
  coalesce(w.covered_seconds, 0) / nullif(extract(epoch from s.width)::double precision * t.targets, 0) as watched_ratio
from step as s
cross join known as k
cross join lateral generate_series(k.first, k.last, s.width) as g (time)
left join watched as w on w.time = g.time
cross join lateral (
  select count(*) as targets from monitoring.targets as x where x.target in ($target) and x.first_seen <= g.time
) as t
where g.time >= $__timeFrom()::timestamptz
  and g.time + s.width <= $__timeTo()::timestamptz
order by 1
