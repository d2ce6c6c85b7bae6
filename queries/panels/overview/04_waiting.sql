-- Blocked sessions
--
-- Sessions blocked by others at the last reading, and how long the oldest of them has been at its statement. A number
-- that stays is somebody who holds a lock and does not let go: see which target in the table below.
--
-- kind: stat
-- unit: none
-- needs: blocked_sessions, coverage
-- size: 4x6
-- instant: yes
-- links: infrastructure
-- columns:
--   blocked  value  Blocked            thresholds: success, 1 warning, 10 critical
--   longest  value  Longest [s]       thresholds: success, 30 warning, 300 critical
select
  case when count(c.time) > 0 then coalesce(sum(b.blocked), 0)::double precision end as blocked,
  case when count(c.time) > 0 then coalesce(max(b.longest), 0) end as longest
from (
  select n.target, max(n.time) as time
  from monitoring.coverage as n
  where n.tier = 'raw' and n.metric = 'blocked_sessions' and n.polls > 0 and n.time >= now() - interval '5 minutes' and n.target in ($target)
  group by n.target
) as c
left join (
  select s.target, s.time, sum(s.blocked_sessions) as blocked, max(s.longest_wait_seconds) as longest
  from monitoring.blocked_sessions as s
  where s.tier = 'raw' and s.time >= now() - interval '5 minutes'
  group by s.target, s.time
) as b on b.target = c.target and b.time = c.time
