-- Evictions of pg_stat_statements: how often it had to make room.
--
-- A steady stream means that pg_stat_statements.max is too small for this workload: statements are lost from
-- the statistics between two snapshots.
--
-- interval: 60s
-- scope: instance
-- requires: pg_monitor, extension pg_stat_statements 1.9
-- columns:
--   dealloc      counter  bigint       times entries were evicted because there were too many
--   stats_reset  reset    timestamptz  when all statistics of pg_stat_statements were last reset
select dealloc, stats_reset
from @extschema:pg_stat_statements@.pg_stat_statements_info
