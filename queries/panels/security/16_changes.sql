-- Changes of roles, grants and policies
--
-- Each time that what keeps tenants apart changed in the range, the newest first: row level security, policies, grants,
-- memberships, owners, views, settings, and what they were before. Hold it against the releases: a change that nobody
-- planned is an incident until somebody has explained it.
--
-- kind: table
-- unit: none
-- needs: events
-- size: 12x8
-- columns:
--   time    time   Noticed  width: 170
--   target  label  Target  link: security; width: 160
--   detail  label  What changed
select
  e.time,
  e.target,
  e.detail
from monitoring.events as e
where e.kind = 'isolation'
  and e.time >= $__timeFrom()::timestamptz
  and e.time < $__timeTo()::timestamptz
  and e.target in ($target)
order by e.time desc, e.event_id desc
limit 50
