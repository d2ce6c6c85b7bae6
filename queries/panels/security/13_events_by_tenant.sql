-- Security events by tenant
--
-- How often each event of [[tenancy.events]] happened to each tenant in the time range, and its share of the attempts
-- where those are known: failed logins and rejections first, then by number. One tenant far ahead of the others is a
-- target, or the origin. An empty tenant: nobody's in particular.
--
-- kind: table
-- unit: short
-- needs: tenant_events
-- size: 12x8
-- columns:
--   event       label  Event
--   tenant      label  Tenant  link: tenants
--   target      label  Target  link: security
--   count       value  Count  bar
--   attempts    value  Attempts
--   share       value  Share of attempts [percentunit]  thresholds: success, 0.2 warning, 0.5 critical
select
  e.event,
  e.tenant,
  e.target,
  sum(e.count) as count,
  nullif(sum(e.attempts), 0) as attempts,
  (sum(e.count) filter (where e.attempts > 0) / nullif(sum(e.attempts), 0))::double precision as share
from monitoring.tenant_events as e
where e.tier = monitoring.tier('tenant_events', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
  and e.time >= $__timeFrom()::timestamptz
  and e.time < $__timeTo()::timestamptz
  and e.target in ($target)
group by e.event, e.tenant, e.target
having sum(e.count) > 0
order by e.event in ('failed_logins', 'idor_rejections') desc, count desc, e.event, e.target, e.tenant
limit 50
