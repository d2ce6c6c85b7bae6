-- Tables, partitions, views, materialized views and foreign tables of the pool, with the tenant key where they have it.
--
-- `object` is the name as findings have it. What belongs to an extension is left out.
--
-- uses: tenancy, pool_schema
with declared as materialized (
  select t.shared_tables, t.tenants_table, t.key_columns, t.key_columns[1]::name as first_key
  from tenancy as t
)
select
  c.oid,
  c.relnamespace,
  s.nspname,
  c.relname,
  quote_ident(s.nspname) || '.' || quote_ident(c.relname) as object,
  c.relkind,
  c.relowner,
  c.relacl,
  c.relrowsecurity,
  c.relforcerowsecurity,
  c.relispartition,
  c.reloptions,
  c.reltuples,
  s.is_shared
    or s.nspname || '.' || c.relname = any (t.shared_tables)
    or quote_ident(s.nspname) || '.' || quote_ident(c.relname) = any (t.shared_tables)
    or c.relname = any (t.shared_tables) as is_shared,
  t.tenants_table is not null and t.tenants_table in (
    s.nspname || '.' || c.relname, quote_ident(s.nspname) || '.' || quote_ident(c.relname), c.relname
  ) as is_tenants_table,
  coalesce(f.attnum, k.attnum) as key_attnum,
  coalesce(f.attname, k.attname) as key,
  coalesce(f.atttypid, k.atttypid) as key_type,
  coalesce(f.attnotnull, k.attnotnull) as is_key_not_null
from pg_class as c
join pool_schema as s on s.oid = c.relnamespace
cross join declared as t
-- Most tables have the first, which the index gives; only for the rest the others are gone through.
left join pg_attribute as f on f.attrelid = c.oid and f.attname = t.first_key and f.attnum > 0 and not f.attisdropped
left join lateral (
  select a.attnum, a.attname, a.atttypid, a.attnotnull
  from unnest(t.key_columns) with ordinality as w (name, place)
  join pg_attribute as a on a.attrelid = c.oid and a.attname = w.name collate "C" and a.attnum > 0 and not a.attisdropped
  where f.attnum is null and cardinality(t.key_columns) > 1
  order by w.place
  limit 1
) as k on true
where c.relkind in ('r', 'p', 'v', 'm', 'f')
  -- By what is depended on: few things are an extension's, and many depend on something.
  and c.oid not in (
    select d.objid
    from pg_depend as d
    where d.refclassid = 'pg_extension'::regclass and d.classid = 'pg_class'::regclass and d.deptype = 'e'
  )
