-- Where each check of tenant isolation stands.
--
-- columns:
--   target       target
--   check_name   name of the check
--   status       pass, fail or unknown
--   fails        findings that fail and are not allowed
--   unknowns     findings that are unknown
--   allowed      findings that are let be
--   last_run     time of the last run
--   age_seconds  time since then
--   seconds      time that it took
select
  t.name as target,
  s.check_name,
  s.status,
  s.fails,
  s.unknowns,
  s.allowed,
  s.last_run,
  extract(epoch from now() - s.last_run)::double precision as age_seconds,
  s.seconds::double precision as seconds
from monitoring.check_state as s
join monitoring.target as t using (target_id)
