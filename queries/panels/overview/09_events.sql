-- What happened
--
-- Restarts, crashes, failovers, resets of counters, changes of what keeps tenants apart, and the agent's own notes, the
-- latest first. Look here for what changed shortly before it went wrong.
--
-- kind: table
-- unit: none
-- needs: events
-- size: 24x8
-- links: agent
-- columns:
--   time    time   Time  width: 170
--   target  label  Target  link: infrastructure; width: 170
--   kind    label  What  width: 120
--   detail  label  Details
select e.time, e.target, e.kind, e.detail
from monitoring.events as e
where e.time >= $__timeFrom()::timestamptz
  and e.time < $__timeTo()::timestamptz
  and (e.target is null or e.target in ($target))
order by e.time desc, e.event_id desc
limit 50
