-- Planning, execution, I/O and WAL of every statement, from pg_stat_statements.
--
-- Read without the texts, which are fetched once for each statement that is new: a read with 100 MB of texts
-- writes temporary files and takes twenty times as long. Every entry is read (no LIMIT), since an entry that is
-- missing would look like one that was evicted. Zeros are sent as NULL, which costs half the time on the server.
--
-- The counts of evictions and resets are sent in the first row alone. They are scalar subqueries and not joined: they
-- are then read once, and after the entries, so that no eviction that the entries show is missed.
--
-- interval: 60s
-- tiers: 1m 5m 1h 1d
-- scope: instance
-- role: any
-- requires: pg_monitor, extension pg_stat_statements 1.9
-- missing: zero
-- nulls: zero
-- timeout: 10s
-- columns:
--   dbid                        key      oid               database in which the statement was executed
--   userid                      key      oid               role that executed it
--   queryid                     key      bigint            hash of the normalized statement
--   toplevel                    key      boolean           executed as a top-level statement, not inside a function
--   plans                       counter  bigint            times the statement was planned
--   total_plan_time             counter  double precision  time spent planning [ms]
--   calls                       counter  bigint            times the statement was executed
--   total_exec_time             counter  double precision  time spent executing [ms]
--   rows                        counter  bigint            rows retrieved or affected
--   shared_blks_hit             counter  bigint            shared blocks found in the buffer cache [blocks]
--   shared_blks_read            counter  bigint            shared blocks read [blocks]
--   shared_blks_dirtied         counter  bigint            shared blocks dirtied [blocks]
--   shared_blks_written         counter  bigint            shared blocks written [blocks]
--   local_blks_hit              counter  bigint            local blocks found in the cache [blocks]
--   local_blks_read             counter  bigint            local blocks read [blocks]
--   local_blks_dirtied          counter  bigint            local blocks dirtied [blocks]
--   local_blks_written          counter  bigint            local blocks written [blocks]
--   temp_blks_read              counter  bigint            temporary blocks read [blocks]
--   temp_blks_written           counter  bigint            temporary blocks written [blocks]
--   shared_blk_read_time        counter  double precision  time reading shared blocks (track_io_timing) [ms]
--   shared_blk_write_time       counter  double precision  time writing shared blocks (track_io_timing) [ms]
--   local_blk_read_time         counter  double precision  time reading local blocks (track_io_timing) [ms]
--   local_blk_write_time        counter  double precision  time writing local blocks (track_io_timing) [ms]
--   temp_blk_read_time          counter  double precision  time reading temporary blocks (track_io_timing) [ms]
--   temp_blk_write_time         counter  double precision  time writing temporary blocks (track_io_timing) [ms]
--   wal_records                 counter  bigint            WAL records generated
--   wal_fpi                     counter  bigint            WAL full page images generated
--   wal_bytes                   counter  bigint            WAL generated [bytes]
--   wal_buffers_full            counter  bigint            times the WAL buffers became full
--   jit_functions               counter  bigint            functions compiled by JIT
--   jit_generation_time         counter  double precision  time generating JIT code [ms]
--   jit_inlining_count          counter  bigint            times functions were inlined
--   jit_inlining_time           counter  double precision  time inlining functions [ms]
--   jit_optimization_count      counter  bigint            times the statement was optimized by JIT
--   jit_optimization_time       counter  double precision  time optimizing [ms]
--   jit_emission_count          counter  bigint            times code was emitted
--   jit_emission_time           counter  double precision  time emitting code [ms]
--   jit_deform_count            counter  bigint            tuple deform functions compiled by JIT
--   jit_deform_time             counter  double precision  time compiling tuple deform functions [ms]
--   parallel_workers_to_launch  counter  bigint            parallel workers planned to be launched
--   parallel_workers_launched   counter  bigint            parallel workers launched
--   stats_since                 reset    timestamptz       when these counters began: the entry's own start (17 on), or the last reset of all
--   stats_reset                 loss     timestamptz       when all entries were last reset
--   dealloc                     loss     bigint            times entries were evicted because there were too many
select
  s.dbid,
  s.userid,
  s.queryid,
  s.toplevel,
  nullif(s.plans, 0) as plans,
  nullif(s.total_plan_time, 0) as total_plan_time,
  s.calls,
  s.total_exec_time,
  s.rows,
  nullif(s.shared_blks_hit, 0) as shared_blks_hit,
  nullif(s.shared_blks_read, 0) as shared_blks_read,
  nullif(s.shared_blks_dirtied, 0) as shared_blks_dirtied,
  nullif(s.shared_blks_written, 0) as shared_blks_written,
  nullif(s.local_blks_hit, 0) as local_blks_hit,
  nullif(s.local_blks_read, 0) as local_blks_read,
  nullif(s.local_blks_dirtied, 0) as local_blks_dirtied,
  nullif(s.local_blks_written, 0) as local_blks_written,
  nullif(s.temp_blks_read, 0) as temp_blks_read,
  nullif(s.temp_blks_written, 0) as temp_blks_written,
  nullif(s.blk_read_time, 0) as shared_blk_read_time,
  nullif(s.blk_write_time, 0) as shared_blk_write_time,
  null::double precision as local_blk_read_time,
  null::double precision as local_blk_write_time,
  null::double precision as temp_blk_read_time,
  null::double precision as temp_blk_write_time,
  nullif(s.wal_records, 0) as wal_records,
  nullif(s.wal_fpi, 0) as wal_fpi,
  nullif(s.wal_bytes, 0)::bigint as wal_bytes,
  null::bigint as wal_buffers_full,
  null::bigint as jit_functions,
  null::double precision as jit_generation_time,
  null::bigint as jit_inlining_count,
  null::double precision as jit_inlining_time,
  null::bigint as jit_optimization_count,
  null::double precision as jit_optimization_time,
  null::bigint as jit_emission_count,
  null::double precision as jit_emission_time,
  null::bigint as jit_deform_count,
  null::double precision as jit_deform_time,
  null::bigint as parallel_workers_to_launch,
  null::bigint as parallel_workers_launched,
  (select stats_reset from @extschema:pg_stat_statements@.pg_stat_statements_info) as stats_since,
  case s.ordinality when 1 then (
    select stats_reset from @extschema:pg_stat_statements@.pg_stat_statements_info
  ) end as stats_reset,
  case s.ordinality when 1 then (
    select dealloc from @extschema:pg_stat_statements@.pg_stat_statements_info
  ) end as dealloc
from @extschema:pg_stat_statements@.pg_stat_statements(false) with ordinality as s
