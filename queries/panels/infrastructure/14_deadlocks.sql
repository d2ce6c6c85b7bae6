-- Deadlocks
--
-- Deadlocks that the server has resolved by cancelling one of the transactions, of the eight databases that have most,
-- counted in each point. Any is an event: two parts of the application take the same locks in another order, and the
-- server's log names both.
--
-- kind: timeseries
-- unit: none
-- needs: deadlocks
-- size: 8x8
-- min: 0
-- decimals: 0
-- columns:
--   time       time
--   datname    label  Database
--   deadlocks  value  Deadlocks
with found as materialized (
  select date_bin('$__interval_ms ms', x.time, timestamptz 'epoch') as time, x.datname, sum(x.deadlocks) as deadlocks
  from monitoring.deadlocks as x
  where x.tier = monitoring.tier('deadlocks', $__interval_ms, $__timeFrom()::timestamptz)
    and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
    and x.target = ${target:sqlstring}
    and x.datname not in ('template0', 'template1', '(shared)')
  group by 1, 2
), top as (
  select f.datname from found as f group by 1 order by sum(f.deadlocks) desc nulls last, 1 limit 8
)
select
  f.time,
  case when f.datname in (select t.datname from top as t) then f.datname else 'all others' end as datname,
  sum(f.deadlocks)::bigint as deadlocks
from found as f
group by 1, 2
order by 1, 2
