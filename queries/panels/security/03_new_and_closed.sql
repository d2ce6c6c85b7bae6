-- Findings in the time range
--
-- Findings that opened in the time range, those of them that are open still, and those that were closed because they
-- were gone. Many new ones at once follow a release or a change of rights: see the changes below.
--
-- kind: stat
-- unit: none
-- needs: finding, isolation, targets
-- size: 8x6
-- columns:
--   opened      value  New         thresholds: success, 1 warning
--   still_open  value  Still open  thresholds: success, 1 critical
--   closed      value  Closed
select
  count(*) filter (where f.opened_at >= $__timeFrom()::timestamptz and f.opened_at < $__timeTo()::timestamptz) as opened,
  count(*) filter (where f.opened_at >= $__timeFrom()::timestamptz and f.opened_at < $__timeTo()::timestamptz and f.is_open) as still_open,
  count(*) filter (where f.closed_because = 'gone' and f.closed_at >= $__timeFrom()::timestamptz and f.closed_at < $__timeTo()::timestamptz) as closed
from monitoring.finding as f
where f.target in ($target)
  and f.status = 'fail'
  and f.allowed is null
having exists (
    select
    from monitoring.isolation as i
    join monitoring.targets as t on t.target = i.target
    where i.target in ($target) and t.last_poll >= $__timeFrom()::timestamptz and t.first_seen < $__timeTo()::timestamptz
  )
