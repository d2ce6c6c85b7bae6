-- Guard, spool and baselines
--
-- What the agent did that shapes the history: the guard read less often because the agent cost too much (guard), the
-- store could not be reached (spool), counters began anew (baseline, rebuilt, identity). The newest first.
--
-- kind: table
-- unit: short
-- needs: events
-- size: 12x8
-- columns:
--   time    time   Time
--   target  label  Target  link: infrastructure
--   kind    label  Kind  states: guard warning, spool warning, rebuilt info, baseline info, identity warning
--   detail  label  What happened  width: 420
select e.time, e.target, e.kind, e.detail
from monitoring.events as e
where e.kind in ('guard', 'spool', 'baseline', 'rebuilt', 'identity')
  and e.time >= $__timeFrom()::timestamptz and e.time < $__timeTo()::timestamptz
  and (e.target is null or e.target in ($target))
order by e.time desc, e.event_id desc
limit 50
