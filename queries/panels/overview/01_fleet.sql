-- Targets now
--
-- How many databases the last poll reached, how many it did not, and how many nobody has polled for five minutes. Down
-- means that the agent could not connect, or met another server in the target's place. Silent means that the agent
-- itself is the first suspect: it is then not known whether the database is up.
--
-- kind: stat
-- unit: none
-- needs: targets
-- size: 8x6
-- instant: yes
-- columns:
--   down     value  Down    thresholds: success, 1 critical
--   silent   value  Silent  thresholds: success, 1 warning
--   up       value  Up
select
  count(*) filter (where t.is_refused or not t.is_up) as down,
  count(*) filter (where t.last_poll < now() - interval '5 minutes' or t.last_poll is null) as silent,
  count(*) filter (where t.is_up and not t.is_refused and t.last_poll >= now() - interval '5 minutes') as up
from monitoring.targets as t
where t.target in ($target)
