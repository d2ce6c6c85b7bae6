-- Outages
--
-- Stretches in which polls of a database failed: when they began and ended, and the time that the failed polls stand
-- for. Hours that follow each other without a gap are one outage beyond 6 hours of time range, polls that do within it.
-- Empty is good, as far back as hours are kept (a year in production). The longest first.
--
-- kind: table
-- unit: none
-- needs: availability
-- size: 12x8
-- columns:
--   target        label  Database  link: infrastructure
--   since         time   From
--   until         time   To
--   down_seconds  value  Down [s]  thresholds: success, 60 warning, 600 critical
with known as (
  select
    a.time,
    a.target,
    a.lost,
    a.interval_seconds,
    case when a.tier = 'raw' then interval '1 second' * a.interval_seconds else interval '1 hour' end as step,
    coalesce(lag(a.lost) over (partition by a.target order by a.time), 0) = 0
      or lag(a.time) over (partition by a.target order by a.time)
        < a.time - case when a.tier = 'raw' then interval '3 seconds' * a.interval_seconds else interval '1 hour' end as is_new
  from monitoring.availability as a
  where a.tier = case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '6 hours' then 'raw' else '1h' end
    and a.time >= case
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '6 hours' then $__timeFrom()::timestamptz
      else date_bin('1 hour', $__timeFrom()::timestamptz, timestamptz 'epoch')
    end
    and a.time < $__timeTo()::timestamptz
    and a.target in ($target)
), lost as (
  select k.*, count(*) filter (where k.is_new) over (partition by k.target order by k.time) as number
  from known as k
  where k.lost > 0
)
select
  l.target,
  greatest(min(l.time), $__timeFrom()::timestamptz) as since,
  least(max(l.time + l.step), $__timeTo()::timestamptz) as until,
  sum(l.lost * l.interval_seconds)::double precision as down_seconds
from lost as l
group by l.target, l.number
order by 4 desc, 2 desc, 1
limit 50
