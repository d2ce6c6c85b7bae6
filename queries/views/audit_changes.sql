-- Audit tables: rows that were added, and rows that were changed or removed, which none should be.
--
-- One row for each declared table, its partitions together. NULL where a partition's interval is not known.
--
-- needs: audit_table
-- columns:
--   time                  end of the interval; start of the bucket in coarser tiers
--   tier                  resolution
--   target                target
--   audit_table           table as it is declared
--   added                 rows inserted
--   changed               rows updated
--   removed               rows deleted
--   table_bytes           table with TOAST and indexes
--   growth_bytes_per_day  table_bytes less what it was in the hour 24 hours before; NULL until there is one
--   quality               0 good; bits: 1 partial (a lower bound), 2 unknown, 4 gap
select
  s.time,
  s.tier,
  s.target,
  s.audit_table,
  s.added,
  s.changed,
  s.removed,
  s.table_bytes,
  s.table_bytes - (
    select sum(b.table_bytes)
    from monitoring.audit_table as b
    where b.tier = '1h'
      and b.target_id = s.target_id
      and b.audit_table = s.audit_table
      and b.time = date_trunc('hour', s.time - interval '24 hours', 'UTC')
  ) as growth_bytes_per_day,
  s.quality
from (
  select
    a.time,
    a.tier,
    a.target,
    a.target_id,
    a.audit_table,
    case when count(a.n_tup_ins) = count(*) then sum(a.n_tup_ins)::bigint end as added,
    case when count(a.n_tup_upd) = count(*) then sum(a.n_tup_upd)::bigint end as changed,
    case when count(a.n_tup_del) = count(*) then sum(a.n_tup_del)::bigint end as removed,
    sum(a.table_bytes) as table_bytes,
    bit_or(a.quality) as quality
  from monitoring.audit_table as a
  group by a.time, a.tier, a.target, a.target_id, a.audit_table
) as s
