-- Schemas that look like one tenant's each: three or more with the same tables.
--
-- `roles`: who may use this schema, by a grant or as its owner, and no other of them. A schema that lacks a table, or
-- has some more, is one still.
with own_table as (
  select c.relnamespace, c.relname
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p')
    and not c.relispartition
    and n.nspname !~ '^pg_'
    and n.nspname not in ('information_schema', 'monitoring')
    and not exists (
      select from pg_depend as d
      where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
    )
),

repeated as (
  select relname from own_table group by relname having count(*) >= 2
),

candidate as (
  select o.relnamespace, count(*) as tables
  from own_table as o
  left join repeated as r using (relname)
  group by o.relnamespace
  having count(r.relname) * 3 >= count(*) * 2
),

-- What most of them have: a table that three of a hundred have is no sign.
core as (
  select o.relname
  from own_table as o
  join candidate as c using (relnamespace)
  group by o.relname
  having count(*) >= 2 and count(*) * 2 >= (select count(*) from candidate)
),

member as (
  select o.relnamespace, c.tables, count(*) as core_tables
  from own_table as o
  join core using (relname)
  join candidate as c using (relnamespace)
  group by o.relnamespace, c.tables
  having count(*) * 2 >= (select count(*) from core)
),

-- One table of the same name in each is a sign only where they have no other.
chosen as (
  select m.*
  from member as m
  where (select count(*) from member) >= 3
    and ((select count(*) from core) >= 2 or (select max(tables) from member) = 1)
),

uses as (
  select m.relnamespace, x.grantee as role
  from chosen as m
  join pg_namespace as n on n.oid = m.relnamespace
  cross join lateral aclexplode(n.nspacl) as x
  where x.privilege_type = 'USAGE' and x.grantee <> 0
  union
  select m.relnamespace, n.nspowner
  from chosen as m
  join pg_namespace as n on n.oid = m.relnamespace
),

exclusive as (
  select role, min(relnamespace) as relnamespace from uses group by role having count(*) = 1
)

select
  n.nspname::text as name,
  m.tables::integer as tables,
  m.core_tables::integer as core_tables,
  (select count(*) from core)::integer as all_core_tables,
  array(
    select r.rolname::text
    from exclusive as e
    join pg_roles as r on r.oid = e.role
    where e.relnamespace = n.oid and not r.rolsuper
    order by 1
  ) as roles
from chosen as m
join pg_namespace as n on n.oid = m.relnamespace
order by 1
