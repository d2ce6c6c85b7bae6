-- Sessions that ended badly
--
-- Sessions that ended because the client was gone, by a fatal error, or by an operator, and queries that recovery
-- cancelled on a standby, counted in each point. Clients that vanish in numbers are a network or a pod that was killed.
--
-- kind: timeseries
-- unit: none
-- needs: stat_database
-- size: 8x8
-- min: 0
-- decimals: 0
-- columns:
--   time       time
--   abandoned  value  Client lost
--   fatal      value  Fatal error
--   killed     value  Killed
--   conflicts  value  Recovery conflicts
select
  date_bin('$__interval_ms ms', x.time, timestamptz 'epoch') as time,
  sum(x.sessions_abandoned)::bigint as abandoned,
  sum(x.sessions_fatal)::bigint as fatal,
  sum(x.sessions_killed)::bigint as killed,
  sum(x.conflicts)::bigint as conflicts
from monitoring.stat_database as x
where x.tier = monitoring.tier('stat_database', $__interval_ms, $__timeFrom()::timestamptz)
  and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
  and x.target = ${target:sqlstring}
group by 1
order by 1
