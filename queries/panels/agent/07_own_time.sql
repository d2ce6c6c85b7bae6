-- What the agent costs the targets
--
-- Execution and planning time of the agent's own statements a minute, as each target's pg_stat_statements counts them:
-- the five targets where it is highest in the range. 600 ms a minute are 1% of one core, where the guard begins to read
-- less often as shipped. Unknown where pg_stat_statements does not track it.
--
-- kind: timeseries
-- unit: ms
-- needs: own_cost, coverage, stat_statements
-- size: 12x8
-- min: 0
-- thresholds: success, 600 warning
-- columns:
--   time           time
--   target         label  Target
--   ms_per_minute  value  Time a minute
with spent as materialized (
  select
    date_bin('$__interval_ms ms', o.time, timestamptz 'epoch') as time,
    o.target,
    sum(o.total_exec_time + o.total_plan_time) as own_time
  from monitoring.own_cost as o
  where o.tier = monitoring.tier('stat_statements', $__interval_ms * 3, $__timeFrom()::timestamptz)
    and o.time >= $__timeFrom()::timestamptz and o.time < $__timeTo()::timestamptz
    and o.target in ($target)
  group by 1, 2
),
dear as (
  select s.target from spent as s group by s.target order by sum(s.own_time) desc nulls last, s.target limit 5
)
select
  s.time,
  s.target,
  s.own_time * 60 / nullif(w.covered_seconds, 0) as ms_per_minute
from spent as s
join dear as d on d.target = s.target
join (
  select
    date_bin('$__interval_ms ms', c.time, timestamptz 'epoch') as time,
    c.target,
    sum(c.covered_seconds) as covered_seconds
  from monitoring.coverage as c
  where c.metric = 'stat_statements'
    and c.tier = monitoring.tier('stat_statements', $__interval_ms * 3, $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target in ($target)
  group by 1, 2
) as w on w.time = s.time and w.target = s.target
order by 1, 2
