-- Sessions at work
--
-- How many sessions were executing, and how many sat idle in a transaction, on average over each point, as the server
-- itself counts their time (which is added when a statement or a transaction ends). More at work than the server has
-- processors means that they wait.
--
-- kind: timeseries
-- unit: none
-- needs: stat_database, coverage
-- size: 12x8
-- min: 0
-- decimals: 2
-- columns:
--   time                 time
--   executing            value  Executing
--   idle_in_transaction  value  Idle in transaction
select
  d.time,
  d.active_time / 1000 / nullif(c.seconds, 0) as executing,
  d.idle_in_transaction_time / 1000 / nullif(c.seconds, 0) as idle_in_transaction
from (
  select
    date_bin('$__interval_ms ms', x.time, timestamptz 'epoch') as time,
    sum(x.active_time) as active_time,
    sum(x.idle_in_transaction_time) as idle_in_transaction_time
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
