-- Connection slots in use
--
-- Client connections of the slots that ordinary roles may use (max_connections less the reserved ones), the last known
-- of the time range. At 100 % new connections are refused. 80 % and 95 % are rules of thumb.
--
-- kind: gauge
-- unit: percentunit
-- needs: connection_slots
-- size: 5x6
-- thresholds: success, 0.8 warning, 0.95 critical
-- min: 0
-- max: 1
-- decimals: 0
-- columns:
--   utilisation_ratio  value  In use
select
  c.client_backends
    / nullif(c.max_connections - c.superuser_reserved_connections - c.reserved_connections, 0) as utilisation_ratio
from monitoring.connection_slots as c
where c.tier = monitoring.tier('connection_slots', 15000, $__timeTo()::timestamptz - interval '2 hours')
  and c.time >= $__timeTo()::timestamptz - interval '2 hours' and c.time < $__timeTo()::timestamptz
  and c.target = ${target:sqlstring}
order by c.time desc
limit 1
