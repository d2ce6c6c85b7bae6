-- How values of two types are compared in SQL that a check writes: `equal` is a format of the two, left and right.
--
-- Only types of tenant keys, of the tenants' key and of columns that point at others. Types of extensions have their
-- operators outside of the search path; types that have no operator in common are compared as text.
--
-- uses: pool_relation, relation, tenant_directory
with used as (
  select r.key_type as oid
  from pool_relation as r
  where r.key_type is not null
  union
  select d.pk_type
  from tenant_directory as d
  where d.pk_type is not null
  union
  select a.atttypid
  from (
    select r.child as relid, unnest(r.child_columns) as attnum from relation as r
    union
    select r.parent, unnest(r.parent_columns) from relation as r
  ) as w
  join pg_attribute as a on a.attrelid = w.relid and a.attnum = w.attnum
),
known as (
  select
    u.oid,
    b.oid as base,
    b.typcategory,
    b.typnamespace = 'pg_catalog'::regnamespace or b.typtype = 'e' as is_plain,
    o.operator
  from used as u
  join pg_type as d on d.oid = u.oid
  join pg_type as b on b.oid = case d.typtype when 'd' then d.typbasetype else d.oid end
  left join lateral (
    select format('operator(%I.%s)', n.nspname, p.oprname) as operator
    from pg_opclass as c
    join pg_am as m on m.oid = c.opcmethod and m.amname = 'btree'
    join pg_amop as w on w.amopfamily = c.opcfamily and w.amopstrategy = 3
      and w.amoplefttype = c.opcintype and w.amoprighttype = c.opcintype
    join pg_operator as p on p.oid = w.amopopr
    join pg_namespace as n on n.oid = p.oprnamespace
    where c.opcintype = b.oid and c.opcdefault
    limit 1
  ) as o on true
)
select
  l.oid as left_type,
  r.oid as right_type,
  case
    when l.base = r.base and l.is_plain then '%1$s = %2$s'
    when l.base = r.base and l.operator is not null then '%1$s ' || l.operator || ' %2$s'
    when l.is_plain and r.is_plain and l.typcategory = r.typcategory and l.typcategory in ('N', 'S', 'D')
      then '%1$s = %2$s'
    else '%1$s::text = %2$s::text'
  end as equal
from known as l
cross join known as r
