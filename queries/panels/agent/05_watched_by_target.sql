-- Watched by target
--
-- Which part of the range each target was watched, since its first poll if that was later, and when it was last read;
-- the worst first. What is not rolled up yet is left out of the range.
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
    case monitoring.tier('server', $__interval_ms, $__timeFrom()::timestamptz)
      when '1d' then interval '1 day' when '1h' then interval '1 hour' when '5m' then interval '5 minutes'
      when '1m' then interval '1 minute' else interval '0'
    end as width
),
watched as (
  select c.target, sum(c.covered_seconds) as covered_seconds, sum(c.polls) as polls, max(c.time) as last
  from monitoring.coverage as c
  where c.metric = 'server'
    and c.tier = monitoring.tier('server', $__interval_ms, $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target in ($target)
  group by c.target
),
known as (
  select
    case
      when s.width = interval '0' then $__timeFrom()::timestamptz
      else date_bin(s.width, $__timeFrom()::timestamptz + s.width - interval '1 us', timestamptz 'epoch')
    end as first,
    (select max(w.last) from watched as w) + s.width as last
  from step as s
)
select
  t.target,
  least(coalesce(w.covered_seconds, 0) / nullif(e.seconds, 0), 1) as watched_ratio,
  greatest(e.seconds - coalesce(w.covered_seconds, 0), 0) as missed_seconds,
  coalesce(w.polls, 0)::bigint as polls,
  t.last_good_poll
from monitoring.targets as t
cross join known as k
cross join lateral (
  select greatest(extract(epoch from k.last - greatest(k.first, t.first_seen)), 0)::double precision as seconds
) as e
left join watched as w on w.target = t.target
where t.target in ($target)
  and e.seconds > 0
order by watched_ratio, t.target
limit 50
