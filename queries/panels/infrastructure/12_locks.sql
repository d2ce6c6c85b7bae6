-- Locks by mode
--
-- Locks that are held, by mode, and those that are awaited: means over each point, 0 where no poll has seen one.
-- AccessExclusiveLock is taken by DDL and stops everybody, readers too.
--
-- kind: timeseries
-- unit: none
-- needs: locks, coverage
-- size: 12x8
-- min: 0
-- decimals: 1
-- columns:
--   time   time
--   mode   label  Mode
--   locks  value  Locks
with polled as (
  select c.time as at, date_bin('$__interval_ms ms', c.time, timestamptz 'epoch') as time, sum(c.polls) as polls
  from monitoring.coverage as c
  where c.metric = 'locks' and c.polls > 0
    and c.tier = monitoring.tier('locks', $__interval_ms, $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target = ${target:sqlstring}
  group by 1
), seen as (
  select x.time as at, x.mode || case when x.granted then '' else ', awaited' end as mode, sum(x.locks) as locks
  from monitoring.locks as x
  where x.tier = monitoring.tier('locks', $__interval_ms, $__timeFrom()::timestamptz)
    and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
    and x.target = ${target:sqlstring}
  group by 1, 2
)
select b.time, s.mode, coalesce(f.locks, 0) / b.polls as locks
from (select p.time, sum(p.polls)::double precision as polls from polled as p group by 1) as b
cross join (select distinct x.mode from seen as x) as s
left join (
  select p.time, x.mode, sum(x.locks * p.polls)::double precision as locks
  from seen as x
  join polled as p on p.at = x.at
  group by 1, 2
) as f on f.time = b.time and f.mode = s.mode
order by 1, 2
