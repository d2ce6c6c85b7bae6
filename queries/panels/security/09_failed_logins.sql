-- Failed logins, last hour
--
-- The event failed_logins of [[tenancy.events]], over the hour up to the end of the time range: how many, their share of
-- all attempts where the SQL says how many there were, and the tenants that they belong to. A share far above the usual
-- is somebody who tries passwords. No data: the event is not configured.
--
-- kind: stat
-- unit: short
-- needs: tenant_events
-- size: 8x6
-- columns:
--   failed   value  Failed
--   share    value  Share of attempts [percentunit]  thresholds: success, 0.2 warning, 0.5 critical
--   tenants  value  Tenants
select
  sum(e.count) as failed,
  (sum(e.count) filter (where e.attempts > 0) / nullif(sum(e.attempts), 0))::double precision as share,
  nullif(count(distinct e.tenant) filter (where e.count > 0 and e.tenant <> ''), 0) as tenants
from monitoring.tenant_events as e
where e.tier = monitoring.tier('tenant_events', 30000, $__timeTo()::timestamptz)
  and e.time >= $__timeTo()::timestamptz - interval '1 hour'
  and e.time < $__timeTo()::timestamptz
  and e.target in ($target)
  and e.event = 'failed_logins'
