-- Transactions
--
-- Transactions that were committed and rolled back, a second, all databases together. A sudden fall with as many
-- connections as before is waiting: look at blocked sessions. A rise of what is rolled back is errors.
--
-- kind: timeseries
-- unit: ops
-- needs: stat_database, coverage
-- size: 12x8
-- min: 0
-- links: query_performance
-- columns:
--   time       time
--   commits    value  Committed
--   rollbacks  value  Rolled back
select d.time, d.commits / nullif(c.seconds, 0) as commits, d.rollbacks / nullif(c.seconds, 0) as rollbacks
from (
  select
    date_bin('$__interval_ms ms', x.time, timestamptz 'epoch') as time,
    sum(x.xact_commit)::double precision as commits,
    sum(x.xact_rollback)::double precision as rollbacks
  from monitoring.stat_database as x
  where x.tier = monitoring.tier('stat_database', $__interval_ms, $__timeFrom()::timestamptz)
    and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
    and x.target = ${target:sqlstring}
  group by 1
) as d
join (
  select date_bin('$__interval_ms ms', x.time, timestamptz 'epoch') as time, sum(x.covered_seconds) as seconds
  from monitoring.coverage as x
  where x.metric = 'stat_database'
    and x.tier = monitoring.tier('stat_database', $__interval_ms, $__timeFrom()::timestamptz)
    and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
    and x.target = ${target:sqlstring}
  group by 1
) as c on c.time = d.time
order by 1
