-- What it costs in the range
--
-- Calls a second and what one call needs on average: time, rows, blocks and write-ahead log. Cache hits are of shared
-- blocks. Executions inside functions are counted too.
--
-- kind: stat
-- unit: short
-- needs: stat_statements, coverage
-- size: 24x6
-- decimals: 2
-- columns:
--   calls_per_second  value  Calls a second [ops]
--   mean_exec_time    value  Mean time [ms]
--   rows_per_call     value  Rows a call
--   blocks_per_call   value  Blocks a call
--   wal_per_call      value  WAL a call [bytes]
--   hit_ratio         value  Cache hits [percentunit]  thresholds: critical, 0.8 warning, 0.95 success
select
  f.calls / nullif(w.covered_seconds, 0) as calls_per_second,
  f.total_exec_time / nullif(f.calls, 0) as mean_exec_time,
  f.rows / nullif(f.calls, 0) as rows_per_call,
  (f.shared_blks_hit + f.shared_blks_read) / nullif(f.calls, 0) as blocks_per_call,
  f.wal_bytes / nullif(f.calls, 0) as wal_per_call,
  f.shared_blks_hit / nullif(f.shared_blks_hit + f.shared_blks_read, 0) as hit_ratio
from (
  select
    sum(s.calls)::double precision as calls,
    sum(s.total_exec_time) as total_exec_time,
    sum(s.rows)::double precision as rows,
    sum(s.shared_blks_hit)::double precision as shared_blks_hit,
    sum(s.shared_blks_read)::double precision as shared_blks_read,
    sum(s.wal_bytes)::double precision as wal_bytes
  from monitoring.stat_statements as s
  where s.tier = monitoring.tier('stat_statements', $__interval_ms, $__timeFrom()::timestamptz)
    and s.time >= $__timeFrom()::timestamptz and s.time < $__timeTo()::timestamptz
    and s.target = ${target:sqlstring}
    and s.queryid = least(greatest(substring(${queryid:sqlstring} from '^-?[0-9]{1,19}$')::numeric, -9223372036854775808), 9223372036854775807)::bigint
) as f
cross join (
  select sum(c.covered_seconds) as covered_seconds
  from monitoring.coverage as c
  where c.metric = 'stat_statements'
    and c.tier = monitoring.tier('stat_statements', $__interval_ms, $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target = ${target:sqlstring}
) as w
