-- Gaps
--
-- Readings that came so late that charts break there: more than three intervals after the one before. The counters of
-- the time between are kept, but as one difference. The longest first; as far back as the log of readings goes, a week
-- as shipped.
--
-- kind: table
-- unit: short
-- needs: snapshot
-- size: 12x8
-- columns:
--   target            label  Target  link: infrastructure
--   metric            label  Metric
--   began             time   From
--   time              time   To
--   interval_seconds  value  Long [dtdurations]
--   nominal_seconds   value  Interval [s]
select
  s.target,
  s.metric,
  s.time - make_interval(secs => s.interval_seconds) as began,
  s.time,
  s.interval_seconds,
  s.nominal_interval_seconds as nominal_seconds
from monitoring.snapshot as s
where s.quality <> 0
  and s.quality & 4 <> 0
  and s.time >= $__timeFrom()::timestamptz and s.time < $__timeTo()::timestamptz
  and s.target in ($target)
order by s.interval_seconds desc nulls last, s.time desc, s.target, s.metric
limit 50
