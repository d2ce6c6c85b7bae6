-- Sweeps of tenants' rows
--
-- Checks of data read tables window by window, and say that one is clean only after a full cycle: how far the running
-- one has come, how long ago the last full one ended, and the rows whose tenant is wrong. Bad rows come first, then
-- tables that were never read in full. Empty: [tenancy.data] is not enabled.
--
-- kind: table
-- unit: short
-- needs: isolation_sweep
-- size: 12x8
-- instant: yes
-- columns:
--   target          label  Target  link: security
--   check_name      label  Check
--   finding         label  Rows
--   bad_rows        value  Bad rows  thresholds: success, 1 critical
--   coverage_ratio  value  Read [percentunit]  bar
--   age_seconds     value  Last full cycle [dtdurations]  thresholds: success, 604800 warning
--   pages           value  Pages
select
  s.target,
  s.check_name,
  s.finding,
  s.bad_rows,
  s.coverage_ratio,
  s.age_seconds,
  s.pages
from monitoring.isolation_sweep as s
where s.target in ($target)
order by s.bad_rows > 0 desc nulls last, s.bad_rows desc nulls last, s.age_seconds desc nulls first, s.target, s.finding
limit 50
