-- Blocked sessions
--
-- Sessions that wait for a lock that others hold, the mean over each point, and how long the one that waited longest
-- had been at its statement. Short waits are normal; a line that climbs is one session that blocks all others: see who,
-- below.
--
-- kind: timeseries
-- unit: none
-- needs: blocked_sessions, coverage
-- size: 12x8
-- min: 0
-- columns:
--   time                  time
--   blocked_sessions      value  Blocked sessions
--   longest_wait_seconds  value  Longest wait [s]
select p.time, coalesce(b.blocked, 0) / nullif(p.polls, 0) as blocked_sessions, coalesce(b.longest, 0) as longest_wait_seconds
from (
  select date_bin('$__interval_ms ms', c.time, timestamptz 'epoch') as time, sum(c.polls)::double precision as polls
  from monitoring.coverage as c
  where c.metric = 'blocked_sessions' and c.polls > 0
    and c.tier = monitoring.tier('blocked_sessions', $__interval_ms, $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target = ${target:sqlstring}
  group by 1
) as p
left join (
  select
    date_bin('$__interval_ms ms', x.time, timestamptz 'epoch') as time,
    sum(x.blocked_sessions * c.polls)::double precision as blocked,
    max(x.longest_wait_seconds_max) as longest
  from monitoring.blocked_sessions as x
  join (
    select c.time, sum(c.polls) as polls
    from monitoring.coverage as c
    where c.metric = 'blocked_sessions'
      and c.tier = monitoring.tier('blocked_sessions', $__interval_ms, $__timeFrom()::timestamptz)
      and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
      and c.target = ${target:sqlstring}
    group by 1
  ) as c on c.time = x.time
  where x.tier = monitoring.tier('blocked_sessions', $__interval_ms, $__timeFrom()::timestamptz)
    and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
    and x.target = ${target:sqlstring}
  group by 1
) as b on b.time = p.time
order by 1
