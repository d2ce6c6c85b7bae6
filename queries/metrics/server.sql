-- The server itself: up, version, start, role, and the settings that explain the other metrics.
--
-- A target that cannot be asked leaves no row here but a failed snapshot: the view `up` shows both.
--
-- interval: 15s
-- tiers: raw 5m 1h
-- scope: instance
-- columns:
--   up                       gauge  smallint     1: the server answered
--   version                  info   text         version, as the server says it
--   server_version_num       info   integer      version as a number
--   postmaster_start_time    info   timestamptz  when the server started
--   in_recovery              info   boolean      a standby, or recovering
--   data_checksums           info   text         on or off
--   shared_buffers           info   text         setting
--   max_connections          info   integer      setting
--   track_io_timing          info   text         setting: off leaves every I/O time at 0
--   track_activities         info   text         setting: off leaves states and waits empty
--   compute_query_id         info   text         setting: off leaves query ids empty
--   pg_stat_statements_max   info   text         setting, '' where the library is not loaded
--   pg_stat_statements_track info   text         setting, '' where the library is not loaded
--   pg_stat_statements_track_utility info text   setting, '' where the library is not loaded
--   userid                   info   oid          OID of the role that the agent polls with
--   usesuper                 info   boolean      that role is a superuser
select
  1::smallint as up,
  current_setting('server_version') as version,
  current_setting('server_version_num')::integer as server_version_num,
  pg_postmaster_start_time() as postmaster_start_time,
  pg_is_in_recovery() as in_recovery,
  current_setting('data_checksums') as data_checksums,
  current_setting('shared_buffers') as shared_buffers,
  current_setting('max_connections')::integer as max_connections,
  current_setting('track_io_timing') as track_io_timing,
  current_setting('track_activities') as track_activities,
  current_setting('compute_query_id') as compute_query_id,
  coalesce(current_setting('pg_stat_statements.max', true), '') as pg_stat_statements_max,
  coalesce(current_setting('pg_stat_statements.track', true), '') as pg_stat_statements_track,
  coalesce(current_setting('pg_stat_statements.track_utility', true), '') as pg_stat_statements_track_utility,
  (select oid from pg_roles where rolname = current_user) as userid,
  (select rolsuper from pg_roles where rolname = current_user) as usesuper
