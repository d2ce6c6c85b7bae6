-- Time to switch tenants
--
-- How long it takes to become another tenant, by its role or by the context setting, and to plan a query, without the
-- round trips: cold on a fresh connection, warm on one that has switched before. The last reading of the slowest target
-- counts, within three hours before the end of the time range. The goal is below 10 ms: above it each request pays; look
-- at the number of schemas and at the size of the catalog. Needs [tenancy.probe].
--
-- kind: stat
-- unit: s
-- needs: tenant_switch
-- size: 6x6
-- thresholds: success, 0.01 warning, 0.1 critical
-- columns:
--   kind             label  Kind
--   slowest_seconds  value  Slowest
select
  l.kind,
  max(l.switch_seconds) as slowest_seconds
from (
  select distinct on (s.target, s.kind) s.target, s.kind, s.switch_seconds
  from monitoring.tenant_switch as s
  where s.tier = monitoring.tier('tenant_switch', 300000, greatest($__timeFrom()::timestamptz, $__timeTo()::timestamptz - interval '3 hours'))
    and s.time >= greatest($__timeFrom()::timestamptz, $__timeTo()::timestamptz - interval '3 hours')
    and s.time < $__timeTo()::timestamptz
    and s.target in ($target)
    and s.switch_seconds is not null
  order by s.target, s.kind, s.time desc
) as l
group by 1
order by 1
