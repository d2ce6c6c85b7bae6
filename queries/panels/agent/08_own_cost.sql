-- Its cost by target
--
-- The agent's own statements on each target over the range: time a minute, and which part of one core that is. The part
-- `store` is the writing of the history, where it lies on the same server. Above 1% of a core the guard reads less often,
-- as shipped; the dearest first.
--
-- kind: table
-- unit: short
-- needs: own_cost, coverage, stat_statements
-- size: 12x8
-- columns:
--   target            label  Target  link: infrastructure
--   ms_per_minute     value  Time a minute [ms]
--   core_ratio        value  Of one core [percentunit]  thresholds: success, 0.01 warning
--   store_ratio       value  Of that, the store [percentunit]
--   calls_per_minute  value  Statements a minute
--   dearest           label  Dearest metric
select
  o.target,
  o.own_time * 60 / nullif(w.covered_seconds, 0) as ms_per_minute,
  o.own_time / 1000 / nullif(w.covered_seconds, 0) as core_ratio,
  coalesce(o.store_time, 0) / nullif(o.own_time, 0) as store_ratio,
  o.calls * 60 / nullif(w.covered_seconds, 0) as calls_per_minute,
  o.dearest
from (
  select
    p.target,
    sum(p.own_time) as own_time,
    sum(p.own_time) filter (where p.part = 'store') as store_time,
    sum(p.calls)::double precision as calls,
    (array_agg(p.metric order by p.own_time desc nulls last) filter (where p.metric <> ''))[1] as dearest
  from (
    select c.target, c.part, c.metric, sum(c.total_exec_time + c.total_plan_time) as own_time, sum(c.calls) as calls
    from monitoring.own_cost as c
    where c.tier = monitoring.tier('stat_statements', $__interval_ms * 3, $__timeFrom()::timestamptz)
      and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
      and c.target in ($target)
    group by c.target, c.part, c.metric
  ) as p
  group by p.target
) as o
left join (
  select c.target, sum(c.covered_seconds) as covered_seconds
  from monitoring.coverage as c
  where c.metric = 'stat_statements'
    and c.tier = monitoring.tier('stat_statements', $__interval_ms * 3, $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target in ($target)
  group by c.target
) as w on w.target = o.target
order by o.own_time * 60 / nullif(w.covered_seconds, 0) desc nulls last, o.target
limit 50
