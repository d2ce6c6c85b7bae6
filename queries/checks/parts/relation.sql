-- What points at what: foreign keys, and the relations that are declared where there is none.
--
-- Column numbers, in the order of the key. `conoid` is 0 for a declared one. Of partitions only what is their own.
--
-- uses: tenancy
select
  k.oid as conoid,
  k.conname::text as conname,
  k.conrelid as child,
  k.conkey as child_columns,
  k.confrelid as parent,
  k.confkey as parent_columns,
  k.convalidated as is_validated
from pg_constraint as k
where k.contype = 'f' and k.conparentid = 0
union all
select
  0,
  'declared',
  c.oid,
  array(
    select a.attnum from jsonb_array_elements_text(d.columns) with ordinality as w (name, place)
    join pg_attribute as a on a.attrelid = c.oid and a.attname = w.name and not a.attisdropped
    order by w.place
  ),
  p.oid,
  array(
    select a.attnum from jsonb_array_elements_text(d.parent_columns) with ordinality as w (name, place)
    join pg_attribute as a on a.attrelid = p.oid and a.attname = w.name and not a.attisdropped
    order by w.place
  ),
  false
from tenancy as t
cross join jsonb_to_recordset(t.relations) as d (child text, columns jsonb, parent text, parent_columns jsonb)
-- Not to_regclass: it demands USAGE on the schema.
join (
  select c.oid, n.nspname || '.' || c.relname as name, quote_ident(n.nspname) || '.' || quote_ident(c.relname) as quoted
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p')
) as c on d.child in (c.name, c.quoted)
join (
  select c.oid, n.nspname || '.' || c.relname as name, quote_ident(n.nspname) || '.' || quote_ident(c.relname) as quoted
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p')
) as p on d.parent in (p.name, p.quoted)
