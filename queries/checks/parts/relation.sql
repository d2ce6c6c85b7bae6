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
cross join lateral (
  select
    case when d.child ~ v.quoted then parse_ident(d.child) else string_to_array(d.child, '.') end as child,
    case when d.parent ~ v.quoted then parse_ident(d.parent) else string_to_array(d.parent, '.') end as parent
  from (values ('^([a-z_][a-z0-9_$]*|"([^"]|"")+")\.([a-z_][a-z0-9_$]*|"([^"]|"")+")$')) as v (quoted)
) as w
join pg_namespace as cn on cn.nspname = w.child[1]
join pg_class as c on c.relnamespace = cn.oid and c.relname = w.child[2] and c.relkind in ('r', 'p')
join pg_namespace as pn on pn.nspname = w.parent[1]
join pg_class as p on p.relnamespace = pn.oid and p.relname = w.parent[2] and p.relkind in ('r', 'p')
