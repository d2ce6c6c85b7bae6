-- A tenant table without an index that begins with the tenant key.
--
-- Each statement of one tenant reads the rows of all: what it takes grows with the others' data, which the time tells,
-- and one big tenant makes it slow for the rest. An index of a part of the rows, or with the key in a later place, does
-- not serve; partitions by a list of tenants need none, nor does a partitioned table of which every partition has one.
--
-- model: column
-- severity: P3
-- uses: tenant_table, tenant_root
with recursive indexed as materialized (
  select distinct t.oid
  from tenant_table as t
  join pg_index as i on i.indrelid = t.oid and i.indisvalid and i.indkey[0] = t.key_attnum
  where i.indpred is null
    or pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', t.key)
),
bare as materialized (
  select t.oid, t.object, t.key, t.relkind
  from tenant_root as t
  where t.oid not in (select x.oid from indexed as x)
    and not exists (
      select from pg_partitioned_table as p
      where p.partrelid = t.oid and p.partstrat = 'l' and p.partattrs[0] = t.key_attnum
    )
),
below as (
  select b.oid as root, c.oid, c.relkind
  from bare as b
  join pg_class as c on c.oid = b.oid
  where b.relkind = 'p'
  union all
  select w.root, c.oid, c.relkind
  from below as w
  join pg_inherits as h on h.inhparent = w.oid
  join pg_class as c on c.oid = h.inhrelid
),
served as (
  select w.root
  from below as w
  where w.relkind = 'r'
  group by w.root
  having bool_and(w.oid in (select x.oid from indexed as x))
)
select
  b.object,
  '' as role,
  format('No index of %s begins with %I: what one tenant asks reads the rows of all.', b.object, b.key) as detail,
  format('CREATE INDEX%s ON %s (%I);', case when b.relkind = 'r' then ' CONCURRENTLY' else '' end, b.object, b.key)
    as remedy,
  '' as part
from bare as b
where b.oid not in (select s.root from served as s)
