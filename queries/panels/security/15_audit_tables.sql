-- Audit tables
--
-- Each declared audit table in the time range, those with changed or removed rows first: rows added, changed, removed,
-- its size, and its growth a day (a straight line through the range). Growth tells when to move old partitions away.
--
-- kind: table
-- unit: short
-- needs: audit_changes
-- size: 12x8
-- columns:
--   target                label  Target  link: security
--   audit_table           label  Table
--   changed               value  Changed  thresholds: success, 1 critical
--   removed               value  Removed  thresholds: success, 1 critical
--   added                 value  Added
--   table_bytes           value  Size [bytes]
--   growth_bytes_per_day  value  Growth a day [bytes]
select
  a.target,
  a.audit_table,
  sum(a.changed) as changed,
  sum(a.removed) as removed,
  sum(a.added) as added,
  (array_agg(a.table_bytes order by a.time desc))[1] as table_bytes,
  regr_slope(a.table_bytes, date_part('epoch', a.time)) * 86400 as growth_bytes_per_day
from monitoring.audit_changes as a
where a.tier = monitoring.tier('audit_changes', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
  and a.time >= $__timeFrom()::timestamptz
  and a.time < $__timeTo()::timestamptz
  and a.target in ($target)
group by a.target, a.audit_table
order by sum(a.changed + a.removed) desc nulls last, a.target, a.audit_table
limit 50
