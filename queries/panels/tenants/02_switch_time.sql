-- Time to switch tenants
--
-- How long it takes to become another tenant, by its role or by the context setting, and to plan a query, without the
-- round trips: cold on a fresh connection, warm on one that has switched before. The slowest target counts. The goal is
-- below 10 ms: above it each request pays; look at the number of schemas and at the size of the catalog. Needs
-- [tenancy.probe].
--
-- kind: stat
-- unit: s
-- needs: tenant_switch
-- size: 6x6
-- thresholds: success, 0.01 warning, 0.1 critical
-- columns:
--   time             time
--   kind             label  Kind
--   slowest_seconds  value  Slowest
select
  date_bin('$__interval_ms ms', s.time, timestamptz 'epoch') as time,
  s.kind,
  max(s.switch_seconds) as slowest_seconds
from monitoring.tenant_switch as s
where s.tier = monitoring.tier('tenant_switch', $__interval_ms, $__timeFrom()::timestamptz)
  and s.time >= $__timeFrom()::timestamptz
  and s.time < $__timeTo()::timestamptz
  and s.target in ($target)
group by 1, 2
order by 1, 2
