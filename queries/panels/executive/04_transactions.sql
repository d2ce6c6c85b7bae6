-- Transactions of all databases
--
-- Transactions a second, summed over the databases: whole days where the time range is longer than three, and never less
-- than 2 minutes, within which each database is read at least once. What the business does, as the databases see it;
-- compare it with the same days of the week before.
--
-- kind: timeseries
-- unit: ops
-- needs: stat_database, coverage
-- size: 12x8
-- min: 0
-- columns:
--   time  time
--   tps   value  Transactions
with rates as materialized (
  select d.time, d.target, d.transactions / nullif(c.seconds, 0) as tps
  from (
    select date_bin(greatest('$__interval_ms ms'::interval, interval '2 minutes'), x.time, timestamptz 'epoch') as time, x.target, sum(x.xact_commit + x.xact_rollback)::double precision as transactions
    from monitoring.stat_database as x
    where x.tier = monitoring.tier('stat_database', case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days' then 86400000 when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '6 hours' then 3600000 else $__interval_ms end, $__timeFrom()::timestamptz)
      and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
      and x.target in ($target)
    group by 1, 2
  ) as d
  join (
    select date_bin(greatest('$__interval_ms ms'::interval, interval '2 minutes'), x.time, timestamptz 'epoch') as time, x.target, sum(x.covered_seconds) as seconds
    from monitoring.coverage as x
    where x.metric = 'stat_database'
      and x.tier = monitoring.tier('stat_database', case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days' then 86400000 when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '6 hours' then 3600000 else $__interval_ms end, $__timeFrom()::timestamptz)
      and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
      and x.target in ($target)
    group by 1, 2
  ) as c on c.time = d.time and c.target = d.target
), complete as (
  select n.time
  from (
    select
      w.time,
      count(w.tps) as targets,
      lag(count(w.tps)) over (order by w.time) as before,
      lead(count(w.tps)) over (order by w.time) as after
    from rates as w
    group by 1
  ) as n
  where (n.time + greatest('$__interval_ms ms'::interval, interval '2 minutes') <= $__timeTo()::timestamptz or n.targets >= coalesce(n.before, 0))
    and (n.time >= $__timeFrom()::timestamptz or n.targets >= coalesce(n.after, 0))
)
select r.time, sum(r.tps) as tps
from rates as r
join complete as c on c.time = r.time
group by 1
order by 1
