-- Server now
--
-- Whether the last poll reached the server, how long ago it was, and how long the server has been up. Down: the agent
-- could not connect. Refused: another server answers in its place. Silent: nobody has polled for five minutes, so that
-- all below is old, and the agent is the first suspect. A short uptime that nobody planned is a crash or a failover.
--
-- kind: stat
-- unit: none
-- needs: targets, server
-- size: 9x6
-- instant: yes
-- links: overview, agent
-- columns:
--   state             value  State  states: 0 critical Down, 1 success Up, 2 critical Refused, 3 warning Silent
--   poll_age_seconds  value  Last poll [s]  thresholds: success, 120 warning, 300 critical
--   uptime_seconds    value  Uptime [s]  thresholds: warning, 3600 success
select
  case
    when t.is_refused then 2
    when t.last_poll < now() - interval '5 minutes' then 3
    else t.is_up::integer
  end as state,
  extract(epoch from now() - t.last_poll)::double precision as poll_age_seconds,
  extract(epoch from now() - s.postmaster_start_time)::double precision as uptime_seconds
from monitoring.targets as t
left join lateral (
  select x.postmaster_start_time
  from monitoring.server as x
  where x.tier = monitoring.tier('server', 15000, t.last_good_poll - interval '2 hours')
    and x.time >= t.last_good_poll - interval '2 hours'
    and x.target = ${target:sqlstring}
  order by x.time desc
  limit 1
) as s on true
where t.target = ${target:sqlstring}
