-- IDOR rejections
--
-- Requests for a row of another tenant that the application refused, in the time range: the event idor_rejections of
-- [[tenancy.events]]. A few are typing errors and old links; a burst from one tenant is somebody who walks through the
-- numbers. No data: the event is not configured.
--
-- kind: stat
-- unit: short
-- needs: tenant_events
-- size: 8x6
-- columns:
--   rejected  value  Rejected
--   tenants   value  Tenants
select
  sum(e.count) as rejected,
  nullif(count(distinct e.tenant) filter (where e.count > 0 and e.tenant <> ''), 0) as tenants
from monitoring.tenant_events as e
where e.tier = monitoring.tier('tenant_events', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
  and e.time >= $__timeFrom()::timestamptz
  and e.time < $__timeTo()::timestamptz
  and e.target in ($target)
  and e.event = 'idor_rejections'
