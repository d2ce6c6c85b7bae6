-- Tables, partitions, views, materialized views and foreign tables of the pool, with the tenant key where they have it.
--
-- `object` is the name as findings have it. What belongs to an extension is left out.
--
-- uses: tenancy, pool_schema
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
  k.attnum as key_attnum,
  k.attname as key,
  k.atttypid as key_type,
  k.attnotnull as is_key_not_null
from pg_class as c
join pool_schema as s on s.oid = c.relnamespace
cross join tenancy as t
left join lateral (
  select a.attnum, a.attname, a.atttypid, a.attnotnull
  from unnest(t.key_columns) with ordinality as w (name, place)
  join pg_attribute as a on a.attrelid = c.oid and a.attname = w.name and a.attnum > 0 and not a.attisdropped
  order by w.place
  limit 1
) as k on true
where c.relkind in ('r', 'p', 'v', 'm', 'f')
  and not exists (
    select from pg_depend as d
    where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
  )
