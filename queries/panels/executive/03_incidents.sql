-- Incidents in the time range
--
-- Restarts, crashes and failovers that the agent saw; urgent findings (P0 and P1) of tenants that are not kept apart
-- that were opened; deadlocks that the databases had to resolve. No data where nothing was watched, or checked.
--
-- kind: stat
-- unit: none
-- needs: events, finding, isolation, stat_database, rollups
-- size: 7x6
-- links: security
-- columns:
--   restarts   value  Restarts  thresholds: success, 1 warning
--   findings   value  P0 and P1 opened  thresholds: success, 1 critical
--   deadlocks  value  Deadlocks  thresholds: success, 1 warning
select
  case when d.deadlocks is not null then e.restarts end as restarts,
  case when d.deadlocks is not null then f.findings end as findings,
  d.deadlocks
from (
  select count(*) filter (where x.kind in ('restart', 'crash', 'failover')) as restarts
  from monitoring.events as x
  where x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz and x.target in ($target)
) as e
cross join (
  select case when exists (select from monitoring.isolation as i where i.target in ($target)) then count(*) end as findings
  from monitoring.finding as x
  where x.opened_at >= $__timeFrom()::timestamptz and x.opened_at < $__timeTo()::timestamptz
    and x.status = 'fail' and x.severity in ('P0', 'P1') and x.allowed is null
    and x.target in ($target)
) as f
cross join (
  select sum(x.deadlocks)::bigint as deadlocks
  from monitoring.stat_database as x
  where x.target in ($target) and ((
      x.tier = '1d'
      and $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days'
      and x.time >= date_bin('1 day', $__timeFrom()::timestamptz + interval '24 hours' - interval '1 us', timestamptz 'epoch')
      and x.time < $__timeTo()::timestamptz
    ) or (
      x.tier = '1h'
      and monitoring.tier('stat_database', case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz < interval '6 hours' then 300000 else 3600000 end, $__timeFrom()::timestamptz) <> '5m'
      and x.time >= date_bin('1 hour', $__timeFrom()::timestamptz, timestamptz 'epoch')
      and x.time < $__timeTo()::timestamptz
      and (
        $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '3 days'
        or x.time < date_bin('1 day', $__timeFrom()::timestamptz + interval '24 hours' - interval '1 us', timestamptz 'epoch')
        or x.time >= coalesce((select r.watermark from monitoring.rollups as r where r.metric = 'stat_database' and r.tier = '1d'), '-infinity')
      )
    ) or (
      x.tier = '5m'
      and x.time >= date_bin('5 minutes', $__timeFrom()::timestamptz, timestamptz 'epoch')
      and x.time < $__timeTo()::timestamptz
      and (
        monitoring.tier('stat_database', case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz < interval '6 hours' then 300000 else 3600000 end, $__timeFrom()::timestamptz) = '5m'
        or x.time >= coalesce((select r.watermark from monitoring.rollups as r where r.metric = 'stat_database' and r.tier = '1h'), '-infinity')
      )
    ) or (
      x.tier = 'raw'
      and x.time >= $__timeFrom()::timestamptz
      and x.time < $__timeTo()::timestamptz
      and x.time >= coalesce((select r.watermark from monitoring.rollups as r where r.metric = 'stat_database' and r.tier = '5m'), '-infinity')
    ))
) as d
