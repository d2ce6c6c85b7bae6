-- A foreign key between two tenant tables that does not carry the tenant key.
--
-- Row level security does not hold for the look that a foreign key takes: a tenant can make a row that points at
-- another tenant's, learns so that it is there, and joins and cascades follow it. A second foreign key of the same
-- columns that does carry the key mends it.
--
-- model: column
-- severity: P2
-- uses: relation, tenant_table, tenant_directory
with candidate as materialized (
  select
    r.conoid,
    r.conname,
    r.child,
    r.parent,
    c.object as child_object,
    p.object as parent_object,
    c.key as child_key,
    p.key as parent_key,
    array(select a || '>' || b from unnest(r.child_columns, r.parent_columns) as w (a, b)) as pairs,
    c.key_attnum || '>' || p.key_attnum as key_pair,
    r.child_columns,
    r.parent_columns
  from relation as r
  join tenant_table as c on c.oid = r.child
  join tenant_table as p on p.oid = r.parent
  where r.conoid <> 0
    and r.parent not in (select d.oid from tenant_directory as d)
    and r.child not in (select d.oid from tenant_directory as d)
)
select
  c.child_object as object,
  '' as role,
  format(
    'A row of %s can point at another tenant''s row of %s: the foreign key %I (%s) does not carry %I.',
    c.child_object, c.parent_object, c.conname, n.child_columns, c.child_key
  ) as detail,
  case
    when not u.is_unique
      then format('ALTER TABLE %s ADD UNIQUE (%s); ', c.parent_object,
        concat_ws(', ', quote_ident(c.parent_key), n.to_columns))
    else ''
  end || format(
    'ALTER TABLE %s DROP CONSTRAINT %I, ADD FOREIGN KEY (%s) REFERENCES %s (%s);',
    c.child_object, c.conname, concat_ws(', ', quote_ident(c.child_key), n.from_columns), c.parent_object,
    concat_ws(', ', quote_ident(c.parent_key), n.to_columns)
  ) as remedy,
  c.conname as part
from candidate as c
cross join lateral (
  select
    string_agg(quote_ident(a.attname), ', ' order by w.place) as child_columns,
    -- The others than the key, which may be among them as what another column points at.
    string_agg(quote_ident(a.attname), ', ' order by w.place) filter (where b.attname <> c.parent_key) as from_columns,
    string_agg(quote_ident(b.attname), ', ' order by w.place) filter (where b.attname <> c.parent_key) as to_columns,
    array_agg(b.attnum order by b.attnum) filter (where b.attname <> c.parent_key) as to_attnums
  from unnest(c.child_columns, c.parent_columns) with ordinality as w (child, parent, place)
  join pg_attribute as a on a.attrelid = c.child and a.attnum = w.child
  join pg_attribute as b on b.attrelid = c.parent and b.attnum = w.parent
) as n
cross join lateral (
  select exists (
    select
    from pg_index as i
    where i.indrelid = c.parent and i.indisunique and i.indimmediate and i.indpred is null and i.indexprs is null
      and array(select x from unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) as x (x) order by x)
        = array(select x from unnest(n.to_attnums || k.attnum) as x (x) order by x)
  ) as is_unique
  from pg_attribute as k
  where k.attrelid = c.parent and k.attname = c.parent_key
) as u
where c.key_pair <> all (c.pairs)
  and not exists (
    select
    from candidate as o
    join pg_constraint as k on k.oid = o.conoid
    where o.child = c.child and o.parent = c.parent
      and o.key_pair = any (o.pairs) and o.pairs @> c.pairs
      and coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
  )
