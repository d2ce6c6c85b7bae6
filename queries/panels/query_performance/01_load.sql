-- The target's statements in the range
--
-- All top-level statements together: how many ran a second, how many were executing at a time on average, how long one
-- took on average, which part of the time went into reading and writing blocks (0 where track_io_timing is off), and how
-- many of the blocks that they looked at were in the cache.
--
-- kind: stat
-- unit: short
-- needs: statement_totals, coverage
-- size: 24x6
-- decimals: 2
-- columns:
--   calls_per_second  value  Calls a second [ops]
--   busy_sessions     value  Executing at a time
--   mean_exec_time    value  Mean time of a call [ms]
--   io_ratio          value  Time for disk I/O [percentunit]
--   hit_ratio         value  Cache hits [percentunit]  thresholds: critical, 0.8 warning, 0.95 success
select
  f.calls / nullif(w.covered_seconds, 0) as calls_per_second,
  f.total_exec_time / 1000 / nullif(w.covered_seconds, 0) as busy_sessions,
  f.total_exec_time / nullif(f.calls, 0) as mean_exec_time,
  f.io_time / nullif(f.total_exec_time, 0) as io_ratio,
  f.shared_blks_hit / nullif(f.shared_blks_hit + f.shared_blks_read, 0) as hit_ratio
from (
  select
    sum(s.calls)::double precision as calls,
    sum(s.total_exec_time) as total_exec_time,
    sum(s.blk_read_time + s.blk_write_time) as io_time,
    sum(s.shared_blks_hit)::double precision as shared_blks_hit,
    sum(s.shared_blks_read)::double precision as shared_blks_read
  from monitoring.statement_totals as s
  where s.tier = monitoring.tier('statement_totals', $__interval_ms, $__timeFrom()::timestamptz)
    and s.time >= $__timeFrom()::timestamptz and s.time < $__timeTo()::timestamptz
    and s.target = ${target:sqlstring}
) as f
cross join (
  select sum(c.covered_seconds) as covered_seconds
  from monitoring.coverage as c
  where c.metric = 'statement_totals'
    and c.tier = monitoring.tier('statement_totals', $__interval_ms, $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target = ${target:sqlstring}
) as w
