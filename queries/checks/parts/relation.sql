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
join pg_class as c on c.oid = to_regclass(d.child)
join pg_class as p on p.oid = to_regclass(d.parent)
