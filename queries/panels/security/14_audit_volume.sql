-- Audit volume
--
-- Rows that were added to audit tables a second, in the five chosen targets with the most. It follows the load of the
-- application; a fall to 0 while there is load means that the audit is off, and that is what an intruder does first.
--
-- kind: timeseries
-- unit: ops
-- needs: audit_changes, coverage
-- size: 12x8
-- min: 0
-- columns:
--   time    time
--   target  label  Target
--   added   value  Rows a second
with audited as materialized (
  select
    date_bin('$__interval_ms ms', a.time, timestamptz 'epoch') as time,
    a.target,
    sum(a.added) as added
  from monitoring.audit_changes as a
  where a.tier = monitoring.tier('audit_changes', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
    and a.time >= $__timeFrom()::timestamptz
    and a.time < $__timeTo()::timestamptz
    and a.target in ($target)
  group by 1, 2
), watched as materialized (
  select
    date_bin('$__interval_ms ms', c.time, timestamptz 'epoch') as time,
    c.target,
    sum(c.covered_seconds) as seconds
  from monitoring.coverage as c
  where c.metric = 'audit_table'
    and c.tier = monitoring.tier('audit_changes', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz
    and c.time < $__timeTo()::timestamptz
    and c.target in ($target)
  group by 1, 2
)
select
  a.time,
  a.target,
  (a.added / nullif(w.seconds, 0))::double precision as added
from audited as a
left join watched as w on w.time = a.time and w.target = a.target
where a.target in (
  select x.target from audited as x group by x.target order by sum(x.added) desc nulls last, x.target limit 5
)
order by 1, 2
