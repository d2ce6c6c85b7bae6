-- Databases now
--
-- How many databases answered the last poll, how many did not, and how many nobody has polled for five minutes, of
-- which nothing is known.
--
-- kind: stat
-- unit: none
-- needs: targets
-- size: 7x6
-- instant: yes
-- links: overview
-- columns:
--   up      value  Up
--   down    value  Down  thresholds: success, 1 critical
--   silent  value  Silent  thresholds: success, 1 warning
select
  count(*) filter (where t.is_up and not t.is_refused and t.last_poll >= now() - interval '5 minutes') as up,
  count(*) filter (where t.is_refused or not t.is_up) as down,
  count(*) filter (where t.last_poll < now() - interval '5 minutes' or t.last_poll is null) as silent
from monitoring.targets as t
where t.target in ($target)
