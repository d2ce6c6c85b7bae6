-- Oldest transactions
--
-- Age of the oldest open transaction, of the oldest running statement, and of the longest wait idle in a transaction,
-- at its worst within each point. A transaction that is open for hours keeps vacuum from removing dead rows in the
-- whole database, whether it does anything or not.
--
-- kind: timeseries
-- unit: s
-- needs: connections
-- size: 12x8
-- min: 0
-- columns:
--   time                        time
--   oldest_transaction          value  Transaction
--   oldest_query                value  Running statement
--   oldest_idle_in_transaction  value  Idle in transaction
select
  date_bin('$__interval_ms ms', x.time, timestamptz 'epoch') as time,
  max(x.oldest_transaction_seconds_max) as oldest_transaction,
  max(x.oldest_query_seconds_max) as oldest_query,
  max(x.oldest_idle_in_transaction_seconds_max) as oldest_idle_in_transaction
from monitoring.connections as x
where x.tier = monitoring.tier('connections', $__interval_ms, $__timeFrom()::timestamptz)
  and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
  and x.target = ${target:sqlstring}
group by 1
order by 1
