-- What keeps tenants not apart, or could not be seen: each finding, each time that it was open.
--
-- columns:
--   target          target
--   check_name      name of the check
--   key             the same from run to run
--   status          fail or unknown
--   severity        P0 (worst) to P3
--   object          what it is about
--   role            who could use it
--   detail          what a tenant could do with it
--   remedy          what mends it
--   is_heuristic    told by text alone
--   allowed         why it is let be; NULL: it is not
--   is_open         whether it was there at the last look
--   first_seen      when it was seen for the first time ever
--   opened_at       when it was seen first, of this time
--   last_seen       when it was seen last
--   seen            how often
--   closed_at       when it was not there any more
--   closed_because  gone, or not looked for any more
select
  t.name as target,
  f.check_name,
  f.key,
  f.status,
  f.severity,
  f.object,
  f.role,
  f.detail,
  f.remedy,
  f.is_heuristic,
  f.allowed,
  f.closed_at is null as is_open,
  f.first_seen,
  f.opened_at,
  f.last_seen,
  f.seen,
  f.closed_at,
  f.closed_because
from monitoring.finding_log as f
join monitoring.target as t using (target_id)
