-- Size of each database on disk.
--
-- Read seldom: pg_database_size() looks at every file of the database.
--
-- interval: 10m
-- scope: instance
-- requires: pg_monitor
-- timeout: 30s
-- columns:
--   datid       key    oid     OID of the database
--   datname     info   text    name of the database
--   size_bytes  gauge  bigint  size of all its files [bytes]
select oid as datid, datname::text as datname, pg_database_size(oid) as size_bytes
from pg_database
where datallowconn
