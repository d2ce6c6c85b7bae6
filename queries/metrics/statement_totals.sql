-- What all top-level statements did together, by database.
--
-- Made of the snapshots of stat_statements, in the store: the sums of its top-level rows, so that a chart of the whole
-- need not read every statement. What runs inside functions is in the time of the statement that called them. A
-- statement of which an interval is not known is left out, and the row then says partial; where none is known it says
-- unknown.
--
-- source: stat_statements
-- interval: 60s
-- tiers: 1m 5m 1h 1d
-- missing: zero
-- nulls: zero
-- columns:
--   dbid                 key      oid               database in which the statements were executed
--   calls                counter  bigint            times statements were executed
--   total_exec_time      counter  double precision  time spent executing [ms]
--   total_plan_time      counter  double precision  time spent planning (track_planning) [ms]
--   rows                 counter  bigint            rows retrieved or affected
--   shared_blks_hit      counter  bigint            shared blocks found in the buffer cache [blocks]
--   shared_blks_read     counter  bigint            shared blocks read [blocks]
--   shared_blks_dirtied  counter  bigint            shared blocks dirtied [blocks]
--   shared_blks_written  counter  bigint            shared blocks written [blocks]
--   temp_blks_read       counter  bigint            temporary blocks read [blocks]
--   temp_blks_written    counter  bigint            temporary blocks written [blocks]
--   blk_read_time        counter  double precision  time reading blocks: shared, local and (15 on) temporary ones (track_io_timing) [ms]
--   blk_write_time       counter  double precision  time writing blocks: shared, local and (15 on) temporary ones (track_io_timing) [ms]
--   wal_bytes            counter  bigint            WAL generated [bytes]
select
  r.ts,
  r.quality,
  s.dbid,
  r.calls,
  r.total_exec_time,
  r.total_plan_time,
  r.rows,
  r.shared_blks_hit,
  r.shared_blks_read,
  r.shared_blks_dirtied,
  r.shared_blks_written,
  r.temp_blks_read,
  r.temp_blks_written,
  r.shared_blk_read_time::double precision + r.local_blk_read_time + r.temp_blk_read_time as blk_read_time,
  r.shared_blk_write_time::double precision + r.local_blk_write_time + r.temp_blk_write_time as blk_write_time,
  r.wal_bytes
from reading as r
join monitoring.stat_statements_series as s using (series_id)
where s.toplevel
