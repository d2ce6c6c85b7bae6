-- Clocks that differ
--
-- The target's clock less the agent's, over the last hour of the range: the greatest difference first. Beyond 5 s the
-- agent's clock is used for the history instead; it is then the target's NTP that needs a look.
--
-- kind: table
-- unit: s
-- needs: snapshot, server
-- size: 12x8
-- columns:
--   target        label  Target  link: infrastructure
--   skew_seconds  value  Ahead of the agent by
--   worst         value  Greatest difference  thresholds: success, 1 warning, 5 critical
--   is_replaced   label  Clock used
select
  s.target,
  (array_agg(s.skew_seconds order by s.time desc))[1] as skew_seconds,
  max(abs(s.skew_seconds)) as worst,
  case when max(abs(s.skew_seconds)) > 5 then 'the agent''s' else 'its own' end as is_replaced
from monitoring.snapshot as s
where s.metric = 'server'
  and s.skew_seconds is not null
  and s.time >= greatest($__timeFrom()::timestamptz, $__timeTo()::timestamptz - interval '1 hour')
  and s.time < $__timeTo()::timestamptz
  and s.target in ($target)
group by s.target
order by max(abs(s.skew_seconds)) desc, s.target
limit 20
