-- Events in the application's own tables, by tenant: how many, how many a minute, and out of how many attempts.
--
-- A rate divides by the length of the windows in which the event was counted, which after an outage are longer than the
-- interval of the polls. The row of no tenant ('') is there in every window, also when nothing happened.
--
-- needs: tenant_events
-- columns:
--   time            when it was counted; start of the bucket in coarser tiers
--   tier            resolution
--   target          target
--   event           what was counted
--   tenant          tenant; empty for none
--   count           how often it happened
--   attempts        out of how many; NULL where the SQL does not say so
--   share           count / attempts, 0 to 1
--   per_minute      count a minute
--   window_seconds  length of the windows, the same for all tenants of an event
--   quality         0 good; bits: 1 partial (a lower bound), 2 unknown, 4 gap
select
  e.time,
  e.tier,
  e.target,
  e.event,
  e.tenant,
  e.count,
  nullif(e.attempts, 0) as attempts,
  e.count::double precision / nullif(e.attempts, 0) as share,
  e.count * 60 / nullif(sum(e.window_seconds) over of_a_window, 0) as per_minute,
  sum(e.window_seconds) over of_a_window as window_seconds,
  e.quality
from monitoring.tenant_events as e
window of_a_window as (partition by e.time, e.tier, e.target, e.event)
