-- Audit rows changed or removed
--
-- Rows of audit tables ([tenancy] audit_tables) that were updated or deleted in the time range: none ever should be.
-- Above 0 somebody covers tracks, or a clean-up job has no allowance; the table of audit tables says where. Beside it,
-- the rows that were added.
--
-- kind: stat
-- unit: short
-- needs: audit_changes
-- size: 8x6
-- columns:
--   changed  value  Changed  thresholds: success, 1 critical
--   removed  value  Removed  thresholds: success, 1 critical
--   added    value  Added
select
  sum(a.changed) as changed,
  sum(a.removed) as removed,
  sum(a.added) as added
from monitoring.audit_changes as a
where a.tier = monitoring.tier('audit_changes', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
  and a.time >= $__timeFrom()::timestamptz
  and a.time < $__timeTo()::timestamptz
  and a.target in ($target)
