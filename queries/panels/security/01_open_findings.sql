-- Open findings
--
-- Ways in which one tenant could see or change another's data, by severity, without those that somebody has allowed. P0
-- is an incident: the table below has the statement that mends it. Unknown are checks that could not see enough; they
-- may hide anything, so give the grants that they ask for. No data: no check has run on these targets.
--
-- kind: stat
-- unit: none
-- needs: finding, isolation
-- size: 8x6
-- instant: yes
-- columns:
--   p0       value  P0       thresholds: success, 1 critical
--   p1       value  P1       thresholds: success, 1 critical
--   p2       value  P2       thresholds: success, 1 warning
--   p3       value  P3       thresholds: success, 1 info
--   unknown  value  Unknown  thresholds: success, 1 warning
select
  case when c.checks > 0 then f.p0 end as p0,
  case when c.checks > 0 then f.p1 end as p1,
  case when c.checks > 0 then f.p2 end as p2,
  case when c.checks > 0 then f.p3 end as p3,
  case when c.checks > 0 then f.unknown end as unknown
from (
  select sum(i.checks) as checks
  from monitoring.isolation as i
  where i.target in ($target)
) as c
cross join (
  select
    count(*) filter (where f.status = 'fail' and f.severity = 'P0') as p0,
    count(*) filter (where f.status = 'fail' and f.severity = 'P1') as p1,
    count(*) filter (where f.status = 'fail' and f.severity = 'P2') as p2,
    count(*) filter (where f.status = 'fail' and f.severity = 'P3') as p3,
    count(*) filter (where f.status = 'unknown') as unknown
  from monitoring.finding as f
  where f.is_open and f.allowed is null and f.target in ($target)
) as f
