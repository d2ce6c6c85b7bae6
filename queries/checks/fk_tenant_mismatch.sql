-- Rows that point at rows of another tenant.
--
-- Whoever reads such a row with what it points at, by a join or an ORM, gets another tenant's. A validated foreign key
-- that carries the tenant key on both sides proves that there are none: then no row is read.
--
-- kind: data
-- model: column
-- severity: P0
-- uses: tenant_table, tenant_directory, relation, walked_table, comparison
with link as (
  select
    row_number() over () as number,
    r.*,
    c.object as child_object,
    c.key as child_key,
    c.key_attnum as child_attnum,
    p.object as parent_object,
    p.key as parent_key,
    p.key_attnum as parent_attnum,
    format(m.equal, 'p.' || quote_ident(p.key), 'c.' || quote_ident(c.key)) as same
  from relation as r
  join tenant_table as c on c.oid = r.child
  join tenant_table as p on p.oid = r.parent
  join comparison as m on m.left_type = p.key_type and m.right_type = c.key_type
  where cardinality(r.child_columns) = cardinality(r.parent_columns)
    and not exists (select from tenant_directory as d where d.oid in (r.child, r.parent))
),
pair as (
  select
    l.number,
    w.place,
    ca.attname as child_column,
    pa.attname as parent_column,
    w.child_attnum = l.child_attnum and w.parent_attnum = l.parent_attnum as is_key,
    format(m.equal, 'p.' || quote_ident(pa.attname), 'c.' || quote_ident(ca.attname)) as equal
  from link as l
  cross join lateral unnest(l.child_columns, l.parent_columns) with ordinality as w (child_attnum, parent_attnum, place)
  join pg_attribute as ca on ca.attrelid = l.child and ca.attnum = w.child_attnum
  join pg_attribute as pa on pa.attrelid = l.parent and pa.attnum = w.parent_attnum
  join comparison as m on m.left_type = pa.atttypid and m.right_type = ca.atttypid
),
way as (
  select
    l.*,
    g.*,
    -- Where the columns without the key may fit rows of several tenants, one of the own tenant is enough.
    l.conoid = 0 or g.carries_key as is_ambiguous,
    l.is_validated
      and g.carries_key
      and not exists (select from pg_trigger as t where t.tgconstraint = l.conoid and t.tgenabled = 'D') as is_proof
  from link as l
  join (
    select
      p.number,
      bool_or(p.is_key) as carries_key,
      string_agg(p.equal, ' and ' order by p.place) filter (where not p.is_key) as found,
      array_agg(p.child_column::text order by p.place) filter (where not p.is_key) as child_names,
      array_agg(p.parent_column::text order by p.place) filter (where not p.is_key) as parent_names,
      string_agg(quote_ident(p.child_column), ', ' order by p.place) filter (where not p.is_key) as child_list,
      string_agg(quote_ident(p.parent_column), ', ' order by p.place) filter (where not p.is_key) as parent_list,
      array_agg(p.child_column || ' ' || p.parent_column order by p.child_column, p.parent_column)
        filter (where not p.is_key) as pairs
    from pair as p
    group by p.number
  ) as g using (number)
  where g.found is not null
)
select distinct on (w.child_object, w.parent_object, w.pairs)
  w.child_object as object,
  format('Rows of %s point by %s at rows of %s of another tenant: who reads them together reads that tenant''s.',
    w.child_object, w.child_list, w.parent_object) as detail,
  case
    when w.carries_key and w.is_validated
      then format('Mend those rows, then: ALTER TABLE %s ENABLE TRIGGER ALL;', w.child_object)
    when w.carries_key and w.conoid <> 0
      then format('Mend those rows, then: ALTER TABLE %s VALIDATE CONSTRAINT %I;', w.child_object, w.conname)
    else format('Mend those rows, then: ALTER TABLE %s ADD FOREIGN KEY (%I, %s) REFERENCES %s (%I, %s);',
      w.child_object, w.child_key, w.child_list, w.parent_object, w.parent_key, w.parent_list)
  end as remedy,
  case w.conoid when 0 then format('%s -> %s', w.child_list, w.parent_object) else w.conname end as part,
  w.child as relation,
  format(
    'select count(*), array_agg(b.name) filter (where b.number <= 3) from ('
    'select %s as name, row_number() over () as number from %s as c %s '
    'where c.ctid >= ''@from@'' and c.ctid < ''@to@'' and %s) as b',
    t.row_name,
    t.rows,
    case when not w.is_ambiguous then format('join %s as p on %s', p.rows, w.found) else '' end,
    case when not w.is_ambiguous then format('not (%s)', w.same)
      else format('exists (select from %1$s as p where %2$s and not (%3$s)) '
        'and not exists (select from %1$s as p where %2$s and %3$s)', p.rows, w.found, w.same)
    end
  ) as sweep,
  jsonb_build_array(
    jsonb_build_object('relation', w.child, 'columns', w.child_key::text || w.child_names || t.row_columns),
    jsonb_build_object('relation', w.parent, 'columns', w.parent_key::text || w.parent_names)
  ) as needs
from way as w
join walked_table as t on t.oid = w.child
join walked_table as p on p.oid = w.parent
where not exists (
  select from way as proof
  where proof.is_proof and proof.child = w.child and proof.parent = w.parent and proof.pairs = w.pairs
)
-- Of two keys for the same columns the better one.
order by w.child_object, w.parent_object, w.pairs, w.conoid = 0, w.carries_key desc, w.conname
