-- What happened to the targets and to the history itself: restarts, failovers, resets, changes of what isolates tenants.
--
-- columns:
--   time      when it was noticed
--   target    target; NULL: of the store itself
--   kind      identity, restart, crash, failover, baseline, rebuilt, spool, …; isolation: what keeps tenants apart changed
--   detail    what exactly
--   event_id  tells events of one time apart
select e.ts as time, t.name as target, e.kind, e.detail, e.event_id
from monitoring.event as e
left join monitoring.target as t using (target_id)
