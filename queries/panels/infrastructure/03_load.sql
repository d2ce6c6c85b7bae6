-- Load in the time range
--
-- Transactions a second, the share of them that was rolled back, the share of blocks that was found in the buffer
-- cache, and deadlocks, all databases together. Rolled-back transactions are often errors of the application. 99 % of
-- cache hits is a rule of thumb for short transactions; reports read more from disk.
--
-- kind: stat
-- unit: none
-- needs: stat_database, coverage
-- size: 10x6
-- links: query_performance
-- columns:
--   tps              value  Transactions [ops]
--   rollback_ratio   value  Rolled back [percentunit]  thresholds: success, 0.05 warning
--   cache_hit_ratio  value  Cache hits [percentunit]  thresholds: critical, 0.9 warning, 0.99 success
--   deadlocks        value  Deadlocks  thresholds: success, 1 warning
select
  (d.commits + d.rollbacks)::double precision / nullif(c.seconds, 0) as tps,
  (d.rollbacks / nullif(d.commits + d.rollbacks, 0))::double precision as rollback_ratio,
  (d.blks_hit / nullif(d.blks_hit + d.blks_read, 0))::double precision as cache_hit_ratio,
  d.deadlocks
from (
  select
    sum(x.xact_commit) as commits,
    sum(x.xact_rollback) as rollbacks,
    sum(x.blks_hit) as blks_hit,
    sum(x.blks_read) as blks_read,
    sum(x.deadlocks)::bigint as deadlocks
  from monitoring.stat_database as x
  where x.tier = monitoring.tier('stat_database', $__interval_ms, $__timeFrom()::timestamptz)
    and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
    and x.target = ${target:sqlstring}
) as d
cross join (
  select sum(x.covered_seconds) as seconds
  from monitoring.coverage as x
  where x.metric = 'stat_database'
    and x.tier = monitoring.tier('stat_database', $__interval_ms, $__timeFrom()::timestamptz)
    and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
    and x.target = ${target:sqlstring}
) as c
