-- Columns that may be the tenant key, the likeliest first.
--
-- `policy_tables`: tables of which a policy depends on the column; `settings`: what those policies read, in their own
-- text or in the functions that they call, the likeliest first. `tenants_table`: what most foreign keys of the column
-- alone refer to. `in_keys`: tables in which it is part of a longer unique or foreign key. `name_rank`: how much the
-- name says. With policies a column is the key because they say so; without them its name and the share of the tables
-- that have it must. `pool_schemas`: where tables of the pool are.
--
-- uses: tenancy, pool_relation
with own_table as materialized (
  select p.oid, p.nspname, p.relname, p.object, p.is_shared
  from pool_relation as p
  where p.relkind in ('r', 'p') and not p.relispartition
),

-- `is true` keeps the planner from making a join of it, which it would estimate far too small.
by_name as materialized (
  select
    a.attname,
    count(*) as tables,
    count(*) filter (where a.attnotnull) as not_null_tables,
    mode() within group (order by a.atttypid) as type
  from pg_attribute as a
  where a.attnum > 0 and not a.attisdropped and (a.attrelid in (select o.oid from own_table as o)) is true
  group by a.attname
),

policy_column as materialized (
  select d.objid as policy, d.refobjid as oid, a.attname
  from pg_depend as d
  join pg_policy as p on p.oid = d.objid and p.polrelid = d.refobjid
  join pg_attribute as a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
  where d.classid = 'pg_policy'::regclass
    and d.refclassid = 'pg_class'::regclass
    and d.refobjsubid > 0
    and (d.refobjid in (select o.oid from own_table as o)) is true
),

-- Of thousands of policies that read one column some hundred tell what they all do.
read_policy as materialized (
  select distinct w.policy
  from (
    select c.policy, row_number() over (partition by c.attname order by c.policy) as place
    from policy_column as c
  ) as w
  where w.place <= 200
),

-- Functions that policies call, and those that stand in the text of these.
policy_function as (
  with recursive calls as (
    select d.objid as policy, d.refobjid as function, 1 as depth
    from pg_depend as d
    where d.classid = 'pg_policy'::regclass and d.refclassid = 'pg_proc'::regclass and d.refobjid >= 16384
      and (d.objid in (select r.policy from read_policy as r)) is true
    union
    select c.policy, g.oid, c.depth + 1
    from calls as c
    join pg_proc as f on f.oid = c.function
    join pg_proc as g on g.oid >= 16384 and g.oid <> f.oid
      and coalesce(pg_get_function_sqlbody(f.oid), f.prosrc) ~ ('\m' || g.proname || '\s*\(')
    where c.depth < 3 and g.proname ~ '^\w+$'
  )
  select distinct policy, function from calls
),

policy_text as (
  select p.oid as policy, e.text
  from pg_policy as p
  cross join lateral (
    values (pg_get_expr(p.polqual, p.polrelid)), (pg_get_expr(p.polwithcheck, p.polrelid))
  ) as e (text)
  where (p.oid in (select r.policy from read_policy as r)) is true
  union all
  select c.policy, coalesce(pg_get_function_sqlbody(f.oid), f.prosrc)
  from policy_function as c
  join pg_proc as f on f.oid = c.function
),

policy_setting as materialized (
  select distinct t.policy, m.found[1] as setting
  from policy_text as t
  cross join lateral regexp_matches(t.text, 'current_setting\s*\(\s*''([^'']+)''', 'gi') as m (found)
),

by_policy as (
  select attname, count(distinct oid) as tables from policy_column group by attname
),

by_setting as materialized (
  select c.attname, s.setting, count(distinct c.oid) as tables
  from policy_column as c
  join policy_setting as s using (policy)
  group by c.attname, s.setting
),

named as materialized (
  select
    n.*,
    coalesce(p.tables, 0) as policy_tables,
    case
      when n.attname ~* '^_?tenant(_?(id|uuid|key|code|no|ref|slug))?$' then 3
      when n.attname ~* (
        '^(org|organi[sz]ation|company|workspace|merchant|operator|brand|franchise|realm|subscriber)'
        || '(_?(id|uuid|key|code|no|ref))?$'
      ) then 2
      when n.attname ~* (
        '^(account|customer|client|store|shop|site|team|school|clinic|agency|partner|firm|club|hotel)'
        || '(_?(id|uuid|key|code|no|ref))$'
      ) then 1
      else 0
    end as name_rank,
    regexp_replace(n.attname, '_?(id|uuid|key|code|no|ref|slug)$', '', 'i') as stem,
    exists (select from by_setting as s where s.attname = n.attname) as has_setting,
    n.attname = any (t.key_columns) as is_declared
  from by_name as n
  left join by_policy as p using (attname)
  cross join tenancy as t
),

-- Foreign keys of one column, and which longer keys a column is in.
key_column as materialized (
  select
    k.contype,
    k.conrelid,
    k.confrelid,
    k.confkey[1] as target_attnum,
    cardinality(k.conkey) as columns,
    a.attname
  from pg_constraint as k
  cross join lateral unnest(k.conkey) as c (attnum)
  join pg_attribute as a on a.attrelid = k.conrelid and a.attnum = c.attnum
  where k.contype in ('p', 'u', 'f')
    and k.conparentid = 0
    and (cardinality(k.conkey) > 1 or k.contype = 'f')
    and (k.conrelid in (select o.oid from own_table as o)) is true
    and (
      a.attname in (select n.attname from named as n where n.name_rank > 0 or n.has_setting or n.is_declared)
    ) is true
),

by_target as (
  select
    k.attname,
    k.confrelid as target,
    k.target_attnum,
    count(distinct k.conrelid) as tables,
    row_number() over (partition by k.attname order by count(distinct k.conrelid) desc, k.confrelid) as place
  from key_column as k
  where k.contype = 'f' and k.columns = 1
  group by k.attname, k.confrelid, k.target_attnum
),

in_keys as (
  select k.attname, count(distinct k.conrelid) as tables from key_column as k where k.columns > 1 group by k.attname
),

candidate as materialized (
  select
    n.*,
    coalesce(k.tables, 0) as in_keys,
    coalesce(t.tables, 0) as references_,
    t.target,
    t.target_attnum,
    (select count(*) from own_table as o where not o.is_shared) as all_tables
  from named as n
  left join in_keys as k using (attname)
  left join by_target as t on t.attname = n.attname and t.place = 1
  where n.name_rank > 0 or n.has_setting or n.is_declared
),

-- The table of that name, where no foreign key tells: tenants of tenant_id.
by_stem as (
  select distinct on (c.attname) c.attname, o.oid as target, i.indkey[0] as target_attnum
  from candidate as c
  join own_table as o on o.relname ~* ('^' || c.stem || '(e?s)?$')
  join pg_index as i on i.indrelid = o.oid and i.indisprimary and i.indnkeyatts = 1
  join pg_attribute as a on a.attrelid = o.oid and a.attnum = i.indkey[0] and a.atttypid = c.type
  where c.target is null and c.stem ~ '^\w{3,}$'
  order by c.attname, o.oid
)

select
  c.attname::text as name,
  c.tables::integer as tables,
  c.all_tables::integer as all_tables,
  c.not_null_tables::integer as not_null_tables,
  c.policy_tables::integer as policy_tables,
  c.in_keys::integer as in_keys,
  c.references_::integer as references_,
  c.name_rank,
  o.nspname || '.' || o.relname as tenants_table,
  a.attname::text as tenants_pk,
  array(select distinct w.nspname::text from own_table as w order by 1) as pool_schemas,
  array(
    select s.setting
    from by_setting as s
    where s.attname = c.attname
    order by
      s.setting ilike '%' || c.stem || '%' desc,
      s.setting ~* 'tenant|org|company|workspace|account' desc,
      s.setting ~* 'bypass|admin|role|is_|user' ,
      s.tables desc,
      s.setting
  ) as settings
from candidate as c
left join by_stem as b using (attname)
left join own_table as o on o.oid = coalesce(c.target, b.target)
left join pg_attribute as a on a.attrelid = o.oid and a.attnum = coalesce(c.target_attnum, b.target_attnum)
cross join tenancy as d
where c.is_declared
  or (d.key_columns = '{}' and c.attname <> 'id' and (
    c.has_setting
    or (c.policy_tables > 0 and c.name_rank > 0)
    or (c.name_rank = 3 and (c.tables >= 2 or o.oid is not null))
    or (c.name_rank = 2 and c.tables >= 3 and c.tables * 2 >= c.all_tables)
    or (c.name_rank = 1 and c.tables >= 4 and c.tables * 5 >= c.all_tables * 3 and c.in_keys * 2 >= c.tables)
  ))
order by
  c.has_setting desc,
  c.name_rank = 3 desc,
  c.policy_tables desc,
  c.name_rank desc,
  c.tables desc,
  1
