-- Statements with their text, user and database: what each did in each interval.
--
-- Only statements that ran in the interval have a row. Totals count top-level statements only, or what runs inside
-- functions is counted twice.
--
-- needs: stat_statements, stat_database, roles
-- columns:
--   time       end of the interval; start of the bucket in coarser tiers
--   tier       resolution
--   target     target
--   datname    database, as it was last called
--   usename    role, as it was last called
--   queryid    hash of the normalized statement
--   toplevel   executed as a top-level statement
--   query      text, NULL until it is fetched
--   calls  as in stat_statements
--   total_exec_time  as in stat_statements
--   rows  as in stat_statements
--   plans  as in stat_statements
--   total_plan_time  as in stat_statements
--   shared_blks_hit  as in stat_statements
--   shared_blks_read  as in stat_statements
--   shared_blks_dirtied  as in stat_statements
--   shared_blks_written  as in stat_statements
--   local_blks_hit  as in stat_statements
--   local_blks_read  as in stat_statements
--   local_blks_dirtied  as in stat_statements
--   local_blks_written  as in stat_statements
--   temp_blks_read  as in stat_statements
--   temp_blks_written  as in stat_statements
--   shared_blk_read_time  as in stat_statements
--   shared_blk_write_time  as in stat_statements
--   local_blk_read_time  as in stat_statements
--   local_blk_write_time  as in stat_statements
--   temp_blk_read_time  as in stat_statements
--   temp_blk_write_time  as in stat_statements
--   wal_records  as in stat_statements
--   wal_fpi  as in stat_statements
--   wal_bytes  as in stat_statements
--   wal_buffers_full  as in stat_statements
--   jit_functions  as in stat_statements
--   jit_generation_time  as in stat_statements
--   jit_inlining_count  as in stat_statements
--   jit_inlining_time  as in stat_statements
--   jit_optimization_count  as in stat_statements
--   jit_optimization_time  as in stat_statements
--   jit_emission_count  as in stat_statements
--   jit_emission_time  as in stat_statements
--   jit_deform_count  as in stat_statements
--   jit_deform_time  as in stat_statements
--   parallel_workers_to_launch  as in stat_statements
--   parallel_workers_launched  as in stat_statements
--   dbid       OID of the database
--   userid     OID of the role
--   quality    0 good; bits: 1 partial, 2 unknown, 4 gap
select
  s.time,
  s.tier,
  s.target,
  d.datname,
  r.usename,
  s.queryid,
  s.toplevel,
  x.query,
  s.calls,
  s.total_exec_time,
  s.rows,
  s.plans,
  s.total_plan_time,
  s.shared_blks_hit,
  s.shared_blks_read,
  s.shared_blks_dirtied,
  s.shared_blks_written,
  s.local_blks_hit,
  s.local_blks_read,
  s.local_blks_dirtied,
  s.local_blks_written,
  s.temp_blks_read,
  s.temp_blks_written,
  s.shared_blk_read_time,
  s.shared_blk_write_time,
  s.local_blk_read_time,
  s.local_blk_write_time,
  s.temp_blk_read_time,
  s.temp_blk_write_time,
  s.wal_records,
  s.wal_fpi,
  s.wal_bytes,
  s.wal_buffers_full,
  s.jit_functions,
  s.jit_generation_time,
  s.jit_inlining_count,
  s.jit_inlining_time,
  s.jit_optimization_count,
  s.jit_optimization_time,
  s.jit_emission_count,
  s.jit_emission_time,
  s.jit_deform_count,
  s.jit_deform_time,
  s.parallel_workers_to_launch,
  s.parallel_workers_launched,
  s.dbid,
  s.userid,
  s.quality
from monitoring.stat_statements as s
left join monitoring.statement_text_of as o using (series_id)
left join monitoring.statement_text as x using (text_id)
left join monitoring.stat_database_series as ds on ds.target_id = s.target_id and ds.datid = s.dbid
left join monitoring.stat_database_attributes as d on d.series_id = ds.series_id and d.valid_to = 'infinity'
left join monitoring.roles_series as rs on rs.target_id = s.target_id and rs.userid = s.userid
left join monitoring.roles_attributes as r on r.series_id = rs.series_id and r.valid_to = 'infinity'
