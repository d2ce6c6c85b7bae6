-- Connections by state
--
-- Client connections, by what they are doing: active ones run a statement, idle ones wait for the application, and
-- those idle in transaction hold locks and hold vacuum up while they wait. Means over each point; a state that no poll
-- has seen counts as 0.
--
-- kind: timeseries
-- unit: none
-- needs: connections, coverage
-- size: 12x8
-- min: 0
-- decimals: 1
-- stack: yes
-- columns:
--   time         time
--   state        label  State
--   connections  value  Connections
with polled as (
  select c.time as at, date_bin('$__interval_ms ms', c.time, timestamptz 'epoch') as time, sum(c.polls) as polls
  from monitoring.coverage as c
  where c.metric = 'connections' and c.polls > 0
    and c.tier = monitoring.tier('connections', $__interval_ms, $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target = ${target:sqlstring}
  group by 1
), seen as (
  select x.time as at, case when x.state = '' then 'unknown' else x.state end as state, sum(x.connections) as connections
  from monitoring.connections as x
  where x.tier = monitoring.tier('connections', $__interval_ms, $__timeFrom()::timestamptz)
    and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
    and x.target = ${target:sqlstring}
  group by 1, 2
)
select b.time, s.state, coalesce(f.connections, 0) / b.polls as connections
from (select p.time, sum(p.polls)::double precision as polls from polled as p group by 1) as b
cross join (select distinct x.state from seen as x) as s
left join (
  select p.time, x.state, sum(x.connections * p.polls)::double precision as connections
  from seen as x
  join polled as p on p.at = x.at
  group by 1, 2
) as f on f.time = b.time and f.state = s.state
order by 1, 2
