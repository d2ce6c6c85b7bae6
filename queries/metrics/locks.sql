-- Locks held and awaited, by mode.
--
-- interval: 15s
-- scope: instance
-- requires: pg_monitor
-- missing: zero
-- columns:
--   datname  key    text     database of the lock, '' for shared objects and transaction ids
--   mode     key    text     lock mode, as in pg_locks
--   granted  key    boolean  held (true) or awaited (false)
--   locks    gauge  integer  how many
select
  coalesce(d.datname::text, '') as datname,
  coalesce(l.mode, '') as mode,
  l.granted,
  count(*)::integer as locks
from pg_locks as l
left join pg_database as d on d.oid = l.database
where l.pid is distinct from pg_backend_pid()
group by 1, 2, 3
