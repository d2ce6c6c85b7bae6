-- Active tenants
--
-- Tenants that read or wrote a row or had a session at work in the time range, of those of which that is known, of all
-- that there are, in all chosen targets together. The gap between known and all is not silence: nothing tells what these
-- tenants do. `sbpgmon tenants show` and [tenancy.activity] in the configuration help.
--
-- kind: stat
-- unit: short
-- needs: tenant_activity
-- size: 8x6
-- links: security
-- columns:
--   active   value  Active
--   known    value  Known
--   tenants  value  All
select
  sum(t.is_active) as active,
  sum(t.is_known) as known,
  sum(1) as tenants
from (
  select
    a.target,
    a.tenant,
    bool_or(a.tup_read + a.tup_written > 0 or a.active_sessions_max > 0)::integer as is_active,
    bool_or(num_nonnulls(a.tup_read + a.tup_written, a.active_sessions_max) > 0)::integer as is_known
  from monitoring.tenant_activity as a
  where a.tier = monitoring.tier('tenant_activity', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 170), $__timeFrom()::timestamptz)
    and a.time >= $__timeFrom()::timestamptz
    and a.time < $__timeTo()::timestamptz
    and a.target in ($target)
  group by a.target, a.tenant
) as t
