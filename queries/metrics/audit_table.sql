-- What is written to the tables that only grow ([tenancy] audit_tables), each partition by itself.
--
-- Updates and deletes count when they were made, also in a transaction that was rolled back; a TRUNCATE does not count.
-- Bytes are those of the last VACUUM or ANALYZE (pg_class.relpages with TOAST and indexes). A partition's first reading
-- is not known: it may have been attached with rows in it.
--
-- interval: 60s
-- tiers: 1m 5m 1h 1d
-- scope: database
-- uses: tenancy, audit_table
-- missing: unknown
-- fresh: unknown
-- columns:
--   relid        key      oid     OID of the table or partition
--   table_name   info     text    its schema and name
--   audit_table  info     text    the table as it is declared
--   n_tup_ins    counter  bigint  rows inserted
--   n_tup_upd    counter  bigint  rows updated
--   n_tup_del    counter  bigint  rows deleted
--   table_bytes  gauge    bigint  table with TOAST and indexes [bytes]
select
  a.oid as relid,
  a.object as table_name,
  a.declared as audit_table,
  pg_stat_get_tuples_inserted(a.oid) as n_tup_ins,
  pg_stat_get_tuples_updated(a.oid) as n_tup_upd,
  pg_stat_get_tuples_deleted(a.oid) as n_tup_del,
  (
    a.relpages::bigint
    + coalesce((select sum(c.relpages) from pg_class as c where c.oid = a.reltoastrelid), 0)
    + coalesce((
      select sum(c.relpages)
      from pg_index as i
      join pg_class as c on c.oid = i.indexrelid
      where i.indrelid in (a.oid, nullif(a.reltoastrelid, 0))
    ), 0)
  )::bigint * current_setting('block_size')::bigint as table_bytes
from audit_table as a
where a.relkind = 'r'
