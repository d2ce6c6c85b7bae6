-- How well each target keeps its tenants apart: 1 only with neither a fail nor an unknown.
--
-- needs: isolation_check
-- columns:
--   target           target
--   checks           checks that ran
--   passes           those that passed
--   fails            findings that fail and are not allowed
--   unknowns         findings that are unknown
--   allowed          findings that are let be
--   unknown_ratio    checks that are unknown, of all
--   isolation_ratio  checks that passed, of all
--   oldest_run       when the check ran that ran longest ago
select
  c.target,
  count(*) as checks,
  count(*) filter (where c.status = 'pass') as passes,
  sum(c.fails)::bigint as fails,
  sum(c.unknowns)::bigint as unknowns,
  sum(c.allowed)::bigint as allowed,
  (count(*) filter (where c.status = 'unknown'))::double precision / count(*) as unknown_ratio,
  (count(*) filter (where c.status = 'pass'))::double precision / count(*) as isolation_ratio,
  min(c.last_run) as oldest_run
from monitoring.isolation_check as c
group by c.target
