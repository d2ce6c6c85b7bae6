-- Watched by target
--
-- Which part of the range each target was watched, since its first poll if that was later, and when it was last read;
-- the worst first. A single reading that is missing or late does not count. What is not rolled up yet is left out of the
-- range.
--
-- kind: table
-- unit: short
-- needs: coverage, server, targets
-- size: 12x8
-- columns:
--   target          label  Target  link: infrastructure
--   watched_ratio   value  Watched [percentunit]  thresholds: critical, 0.9 warning, 0.99 success
--   missed_seconds  value  Missed [dtdurations]
--   polls           value  Polls
--   last_good_poll  time   Last good poll
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
    b.target,
    min(b.time) as first,
    max(b.time) + max(s.width) as last,
    sum(case when b.covered_seconds * (1 + 1.5 / b.polls) >= s.seconds then s.seconds else b.covered_seconds end)
      as covered_seconds,
    sum(b.polls) as polls
  from bucket as b
  cross join step as s
  where b.time >= $__timeFrom()::timestamptz
    and b.time + s.width <= $__timeTo()::timestamptz
  group by b.target
),
stretch as (
  select min(w.first) as first, max(w.last) as last from watched as w
)
select
  t.target,
  least(coalesce(w.covered_seconds, 0) / e.seconds, 1) as watched_ratio,
  greatest(e.seconds - coalesce(w.covered_seconds, 0), 0) as missed_seconds,
  coalesce(w.polls, 0)::bigint as polls,
  t.last_good_poll
from monitoring.targets as t
cross join stretch as f
left join watched as w on w.target = t.target
cross join lateral (
  select extract(epoch from f.last - greatest(f.first, least(t.first_seen, w.first)))::double precision as seconds
) as e
where t.target in ($target)
  and e.seconds > 0
order by 2, t.target
limit 50
