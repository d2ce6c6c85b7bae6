-- Open findings of isolation
--
-- Ways in which tenants are not kept apart, and that nobody has allowed: P0 and P1 are those to act on at once. Unknown
-- counts what could not be looked at: no fails with unknowns beside them is no proof. No data: no check has run.
--
-- kind: stat
-- unit: none
-- needs: finding, isolation
-- size: 7x6
-- instant: yes
-- links: security
-- columns:
--   urgent    value  P0 and P1  thresholds: success, 1 critical
--   others    value  P2 and P3  thresholds: success, 1 warning
--   unknowns  value  Unknown    thresholds: success, 1 warning
select
  case when c.checks > 0 then f.urgent end as urgent,
  case when c.checks > 0 then f.others end as others,
  case when c.checks > 0 then f.unknowns end as unknowns
from (
  select sum(i.checks) as checks
  from monitoring.isolation as i
  where i.target in ($target)
) as c
cross join (
  select
    count(*) filter (where f.status = 'fail' and f.severity in ('P0', 'P1')) as urgent,
    count(*) filter (where f.status = 'fail' and f.severity not in ('P0', 'P1')) as others,
    count(*) filter (where f.status = 'unknown') as unknowns
  from monitoring.finding as f
  where f.is_open and f.allowed is null and f.target in ($target)
) as f
