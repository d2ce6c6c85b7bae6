-- The table of the tenants, with its key: the declared one, or the one that most tables' key alone points at.
--
-- uses: tenancy, pool_relation, tenant_table, relation
select
  p.oid,
  p.object,
  a.attnum as pk_attnum,
  a.attname as pk,
  a.atttypid as pk_type
from tenancy as t
cross join pool_relation as p
left join pg_attribute as a on a.attrelid = p.oid and a.attname = t.tenants_pk and a.attnum > 0 and not a.attisdropped
where p.is_tenants_table
union all
(
  select p.oid, p.object, a.attnum, a.attname, a.atttypid
  from relation as r
  join tenant_table as c on c.oid = r.child and r.child_columns = array[c.key_attnum]
  join pool_relation as p on p.oid = r.parent
  join pg_attribute as a on a.attrelid = r.parent and a.attnum = r.parent_columns[1]
  where r.parent <> r.child
    and not exists (select from pool_relation as declared where declared.is_tenants_table)
  group by p.oid, p.object, a.attnum, a.attname, a.atttypid
  order by count(*) desc, p.oid
  limit 1
)
