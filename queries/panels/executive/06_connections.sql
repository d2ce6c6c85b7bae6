-- Capacity: connection slots
--
-- How much of the connection slots each database uses: in 95 of 100 hours the hour's peak stayed below the first
-- figure. At 100 % new connections are refused; 80 % is a rule of thumb for when to act. The fullest first.
--
-- kind: table
-- unit: none
-- needs: connection_slots
-- size: 12x8
-- columns:
--   target      label  Database  link: infrastructure
--   p95_ratio   value  95 % of hours below [percentunit]  thresholds: success, 0.8 warning, 0.95 critical; bar
--   peak_ratio  value  Peak [percentunit]  thresholds: success, 0.8 warning, 0.95 critical
--   slots       value  Slots
select
  x.target,
  percentile_cont(0.95) within group (
    order by x.client_backends_max
      / nullif(x.max_connections - x.superuser_reserved_connections - x.reserved_connections, 0)
  ) as p95_ratio,
  max(
    x.client_backends_max
      / nullif(x.max_connections - x.superuser_reserved_connections - x.reserved_connections, 0)
  ) as peak_ratio,
  max(x.max_connections - x.superuser_reserved_connections - x.reserved_connections) as slots
from monitoring.connection_slots as x
where x.tier = monitoring.tier('connection_slots', case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '6 hours' then 3600000 else $__interval_ms end, $__timeFrom()::timestamptz)
  and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
  and x.target in ($target)
group by 1
order by 2 desc nulls last, 3 desc nulls last, 1
limit 50
