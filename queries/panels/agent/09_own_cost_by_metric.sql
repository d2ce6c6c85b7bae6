-- Its cost by metric
--
-- Time a minute that the agent's statements take on a target on average, by the metric that they read; `store` writes
-- the history where it lies on the same server, `begin` opens the read-only transaction of each reading. Targets of which
-- the cost is not known are left out.
--
-- kind: bar
-- unit: ms
-- needs: own_cost, coverage, stat_statements
-- size: 12x8
-- min: 0
-- columns:
--   metric         label  Metric
--   ms_per_minute  value  Time a minute
with spent as materialized (
  select
    o.target,
    case when o.part = 'store' then 'store' when o.metric = '' then 'others' else o.metric end as metric,
    sum(o.total_exec_time + o.total_plan_time) as own_time
  from monitoring.own_cost as o
  where o.tier = monitoring.tier('stat_statements', $__interval_ms * 3, $__timeFrom()::timestamptz)
    and o.time >= $__timeFrom()::timestamptz and o.time < $__timeTo()::timestamptz
    and o.target in ($target)
  group by 1, 2
)
select
  s.metric,
  sum(s.own_time) * 60 / nullif(max(w.covered_seconds), 0) as ms_per_minute
from spent as s
cross join (
  select sum(c.covered_seconds) as covered_seconds
  from monitoring.coverage as c
  where c.metric = 'stat_statements'
    and c.tier = monitoring.tier('stat_statements', $__interval_ms * 3, $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target in (select x.target from spent as x)
) as w
group by 1
order by 2 desc nulls last, 1
limit 20
