-- Tables of the pool without the key whose rows belong to a tenant through the rows that they point at.
--
-- `parent` is the table that the shortest way begins with.
--
-- uses: pool_relation, tenant_table, relation
with recursive way as (
  select p.oid, r.parent, 1 as steps
  from relation as r
  join pool_relation as p on p.oid = r.child
  join tenant_table as t on t.oid = r.parent
  where p.key_attnum is null and p.relkind in ('r', 'p') and not p.is_shared and not p.is_tenants_table
  union
  select p.oid, r.parent, w.steps + 1
  from way as w
  join relation as r on r.parent = w.oid
  join pool_relation as p on p.oid = r.child
  where w.steps < 8
    and p.key_attnum is null and p.relkind in ('r', 'p') and not p.is_shared and not p.is_tenants_table
)
select distinct on (p.oid) p.*, w.parent, w.steps
from way as w
join pool_relation as p on p.oid = w.oid
order by p.oid, w.steps, w.parent
