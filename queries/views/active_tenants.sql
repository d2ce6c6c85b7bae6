-- How many tenants did anything, of all that there are.
--
-- Active is who read or wrote a row in the interval, or has a session at work at its end. Where neither rows nor
-- sessions of a tenant are known, nothing is known of it: it is among all, and not among the known.
--
-- needs: tenant_activity
-- columns:
--   time     end of the interval; start of the bucket in coarser tiers
--   tier     resolution
--   target   target
--   active   tenants that did anything
--   known    tenants of which it is known
--   tenants  all
select
  a.time,
  a.tier,
  a.target,
  count(*) filter (where a.tup_read + a.tup_written > 0 or a.active_sessions_max > 0) as active,
  count(*) filter (where num_nonnulls(a.tup_read + a.tup_written, a.active_sessions_max) > 0) as known,
  count(*) as tenants
from monitoring.tenant_activity as a
group by a.time, a.tier, a.target
