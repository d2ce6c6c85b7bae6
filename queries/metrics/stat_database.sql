-- Transactions, cache, tuples, temporary files, deadlocks and sessions of each database.
--
-- A row named (shared) stands for the objects that all databases share. checksum_failures is 0 also where data
-- checksums are off: `server` says whether they are on. stats_reset moves as well when a single table or function
-- of the database is reset, which leaves these counters as they are.
--
-- interval: 15s
-- tiers: raw 1m 5m 1h 1d
-- scope: instance
-- requires: pg_monitor
-- resets: possible
-- columns:
--   datid                       key      oid               OID of the database, 0 for shared objects
--   datname                     info     text              name of the database
--   numbackends                 gauge    integer           backends connected now
--   xact_commit                 counter  bigint            transactions committed
--   xact_rollback               counter  bigint            transactions rolled back
--   blks_read                   counter  bigint            blocks read [blocks]
--   blks_hit                    counter  bigint            blocks found in the buffer cache [blocks]
--   tup_returned                counter  bigint            live rows fetched by sequential scans and index entries returned
--   tup_fetched                 counter  bigint            live rows fetched by index scans
--   tup_inserted                counter  bigint            rows inserted
--   tup_updated                 counter  bigint            rows updated
--   tup_deleted                 counter  bigint            rows deleted
--   conflicts                   counter  bigint            queries cancelled by conflicts with recovery (standbys)
--   temp_files                  counter  bigint            temporary files created
--   temp_bytes                  counter  bigint            written to temporary files [bytes]
--   deadlocks                   counter  bigint            deadlocks detected
--   checksum_failures           counter  bigint            data page checksum failures
--   blk_read_time               counter  double precision  time reading data files (track_io_timing) [ms]
--   blk_write_time              counter  double precision  time writing data files (track_io_timing) [ms]
--   session_time                counter  double precision  time spent by sessions [ms]
--   active_time                 counter  double precision  time spent executing [ms]
--   idle_in_transaction_time    counter  double precision  time spent idle in a transaction [ms]
--   sessions                    counter  bigint            sessions established
--   sessions_abandoned          counter  bigint            sessions ended because the client was lost
--   sessions_fatal              counter  bigint            sessions ended by fatal errors
--   sessions_killed             counter  bigint            sessions ended by an operator
--   parallel_workers_to_launch  counter  bigint            parallel workers planned to be launched
--   parallel_workers_launched   counter  bigint            parallel workers launched
--   stats_reset                 reset    timestamptz       when these statistics were last reset
select
  datid,
  coalesce(datname::text, '(shared)') as datname,
  numbackends,
  xact_commit,
  xact_rollback,
  blks_read,
  blks_hit,
  tup_returned,
  tup_fetched,
  tup_inserted,
  tup_updated,
  tup_deleted,
  conflicts,
  temp_files,
  temp_bytes,
  deadlocks,
  coalesce(checksum_failures, 0) as checksum_failures,
  blk_read_time,
  blk_write_time,
  session_time,
  active_time,
  idle_in_transaction_time,
  sessions,
  sessions_abandoned,
  sessions_fatal,
  sessions_killed,
  null::bigint as parallel_workers_to_launch,
  null::bigint as parallel_workers_launched,
  stats_reset
from pg_stat_database
