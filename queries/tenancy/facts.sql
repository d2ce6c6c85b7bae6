-- What the judge of statements is told: the pool's and the tenants' relations, roles, and where unqualified names are
-- looked up.
--
-- One row each, as JSON. `relation`: columns, unique keys (the primary key first), foreign keys and declared relations,
-- policies, what a view reads and, in the pool, how. `role`: those that row level security can bind, with the roles
-- whose privileges they have. `function`: those without arguments, which give one value. `path`: a search_path that is
-- set for a role, a database or both; '' stands for all.
--
-- uses: tenancy, pool_relation, tenant_schema, indirect_table, relation, membership
with watched as materialized (
  select
    p.oid,
    p.nspname,
    p.relname,
    p.relkind,
    p.relowner,
    p.relrowsecurity,
    p.relforcerowsecurity,
    p.reloptions,
    case when not p.is_shared then p.key end as key,
    case when not p.is_shared then p.key_attnum end as key_attnum,
    null::text as tenant,
    i.oid is not null as is_indirect
  from pool_relation as p
  left join (
    select oid from indirect_table
    union
    select h.inhrelid from indirect_table as i join pg_inherits as h on h.inhparent = i.oid
  ) as i using (oid)
  union all
  select
    c.oid, s.nspname, c.relname, c.relkind, c.relowner, c.relrowsecurity, c.relforcerowsecurity, c.reloptions,
    null, null, s.tenant, false
  from tenant_schema as s
  join pg_class as c on c.relnamespace = s.oid
  where c.relkind in ('r', 'p', 'v', 'm', 'f')
),

columns as (
  select a.attrelid as oid, jsonb_agg(a.attname order by a.attnum) as value
  from watched as w
  join pg_attribute as a on a.attrelid = w.oid and a.attnum > 0 and not a.attisdropped
  group by 1
),

unique_keys as (
  select
    i.oid,
    jsonb_agg(i.value order by i.indisprimary desc, i.indexrelid) as value,
    bool_or(i.indisprimary) as has_primary
  from (
    select i.indrelid as oid, i.indexrelid, i.indisprimary, jsonb_agg(a.attname order by k.place) as value
    from watched as w
    join pg_index as i on i.indrelid = w.oid
    cross join lateral unnest(i.indkey::smallint[]) with ordinality as k (attnum, place)
    join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null and k.place <= i.indnkeyatts
    group by i.indrelid, i.indexrelid, i.indisprimary
  ) as i
  group by i.oid
),

-- A partition's own copy of its parent's; not the copies that stand for the partitions of what is referred to.
reference as (
  select r.conoid, r.conname, r.child, r.child_columns, r.parent, r.parent_columns from relation as r
  union all
  select k.oid, k.conname::text, k.conrelid, k.conkey, k.confrelid, k.confkey
  from pg_constraint as k
  join pg_constraint as p on p.oid = k.conparentid and p.conrelid <> k.conrelid
  where k.contype = 'f'
),

foreign_keys as (
  select
    f.child as oid,
    jsonb_agg(
      jsonb_build_object('columns', f.columns, 'schema', n.nspname, 'table', c.relname, 'referenced', f.referenced)
      order by f.conoid, f.conname, c.relname
    ) as value
  from (
    select
      r.conoid,
      r.conname,
      r.child,
      r.parent,
      jsonb_agg(a.attname order by k.place) as columns,
      jsonb_agg(b.attname order by k.place) as referenced
    from reference as r
    join watched as w on w.oid = r.child
    cross join lateral unnest(r.child_columns, r.parent_columns) with ordinality as k (child, parent, place)
    join pg_attribute as a on a.attrelid = r.child and a.attnum = k.child
    join pg_attribute as b on b.attrelid = r.parent and b.attnum = k.parent
    group by r.conoid, r.conname, r.child, r.parent, r.child_columns, r.parent_columns
  ) as f
  join pg_class as c on c.oid = f.parent
  join pg_namespace as n on n.oid = c.relnamespace
  group by f.child
),

-- The key's DEFAULT reads the context, itself or by a function.
context_default as (
  select w.oid
  from watched as w
  join pg_attrdef as d on d.adrelid = w.oid and d.adnum = w.key_attnum
  cross join tenancy as t
  cross join lateral (
    select pg_get_expr(d.adbin, d.adrelid) as text
    union all
    select coalesce(pg_get_function_sqlbody(f.oid), f.prosrc)
    from pg_depend as e
    join pg_proc as f on f.oid = e.refobjid
    where e.classid = 'pg_attrdef'::regclass and e.objid = d.oid and e.refclassid = 'pg_proc'::regclass
  ) as s
  where s.text ~* 'current_setting' and (t.setting is null or position(lower(t.setting) in lower(s.text)) > 0)
  group by w.oid
),

policies as (
  select
    p.polrelid as oid,
    jsonb_agg(
      jsonb_build_object(
        'command', p.polcmd,
        'is_permissive', p.polpermissive,
        'roles', case
          when 0 = any (p.polroles) then null
          else (select jsonb_agg(r.rolname) from pg_roles as r where r.oid = any (p.polroles))
        end,
        'using', pg_get_expr(p.polqual, p.polrelid)
      )
      order by p.polname
    ) as value
  from watched as w
  join pg_policy as p on p.polrelid = w.oid
  where w.relrowsecurity and w.tenant is null and (w.key_attnum is not null or w.is_indirect)
  group by p.polrelid
),

sources as (
  select r.ev_class as oid, jsonb_agg(distinct jsonb_build_array(s.nspname, s.relname)) as value
  from watched as w
  join pg_rewrite as r on r.ev_class = w.oid
  join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    and d.refclassid = 'pg_class'::regclass and d.refobjid <> r.ev_class
  join watched as s on s.oid = d.refobjid
  where w.relkind in ('v', 'm')
  group by r.ev_class
)

select
  'relation' as kind,
  jsonb_strip_nulls(
    jsonb_build_object(
      'schema', w.nspname,
      'name', w.relname,
      'kind', w.relkind,
      'columns', c.value,
      'key', w.key,
      'tenant', w.tenant,
      'is_indirect', w.is_indirect,
      'unique', u.value,
      'has_primary_key', u.has_primary,
      'foreign_keys', f.value,
      'key_has_default', d.oid is not null,
      'owner', case when w.relrowsecurity or w.relkind = 'v' then o.rolname end,
      'is_guarded', w.relrowsecurity,
      'is_forced', w.relforcerowsecurity,
      'policies', p.value,
      'sources', s.value,
      'is_invoker', case when w.relkind = 'v' then coalesce(
        (
          select x.option_value::boolean
          from pg_options_to_table(w.reloptions) as x
          where x.option_name = 'security_invoker'
        ), false
      ) end,
      'definition', case when w.relkind = 'v' and w.tenant is null and s.oid is not null then pg_get_viewdef(w.oid) end
    )
  ) as value
from watched as w
join (select r.oid as role, r.rolname from pg_roles as r) as o on o.role = w.relowner
left join columns as c using (oid)
left join unique_keys as u using (oid)
left join foreign_keys as f using (oid)
left join context_default as d using (oid)
left join policies as p using (oid)
left join sources as s using (oid)
union all
select
  'role',
  jsonb_build_object('name', r.rolname, 'is_exempt', r.rolbypassrls, 'has', jsonb_agg(b.rolname))
from pg_roles as r
join membership as m on m.role = r.oid and m.is_usage
join pg_roles as b on b.oid = m.becomes
where not r.rolsuper and r.rolname !~ '^pg_'
group by r.oid, r.rolname, r.rolbypassrls
union all
select 'function', to_jsonb(quote_ident(n.nspname) || '.' || quote_ident(f.proname))
from pg_proc as f
join pg_namespace as n on n.oid = f.pronamespace
where f.pronargs = 0
  and not f.proretset
  and f.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype, 'void'::regtype)
  and n.nspname not in ('pg_catalog', 'information_schema')
union all
select
  'path',
  jsonb_build_object(
    'role', coalesce(r.rolname, ''), 'database', coalesce(d.datname, ''), 'value', substr(c.setting, 13)
  )
from pg_db_role_setting as s
cross join unnest(s.setconfig) as c (setting)
left join pg_roles as r on r.oid = s.setrole
left join pg_database as d on d.oid = s.setdatabase
where c.setting like 'search\_path=%'
