-- Tables of the pool that seem to be shared: without the key, and with no way to a tenant's row.
--
-- `references_`: tables of tenants that point at it. `is_whole`: all tables of its schema are such.
--
-- uses: pool_relation, tenant_table, indirect_table, relation
with own_table as materialized (
  select p.oid, p.nspname, p.relname, p.key_attnum, p.is_tenants_table, p.is_shared
  from pool_relation as p
  where p.relkind in ('r', 'p') and not p.relispartition
),

tenants as materialized (
  select oid from tenant_table
  union
  select oid from indirect_table
),

free as (
  select o.*
  from own_table as o
  where o.key_attnum is null and not o.is_tenants_table and o.oid not in (select oid from tenants)
),

pointed as (
  select r.parent as oid, count(distinct r.child) as tables
  from relation as r
  join tenants as t on t.oid = r.child
  group by r.parent
),

whole as (
  select nspname from own_table group by nspname
  except
  select o.nspname from own_table as o where o.oid not in (select oid from free)
)

select
  f.nspname::text as schema,
  f.relname::text as name,
  coalesce(p.tables, 0)::integer as references_,
  f.nspname in (select nspname from whole) as is_whole
from free as f
left join pointed as p using (oid)
order by 1, 2
