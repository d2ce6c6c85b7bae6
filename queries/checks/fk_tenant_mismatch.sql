-- Rows that point at rows of another tenant.
--
-- Whoever reads such a row with what it points at, by a join or an ORM, gets another tenant's. A validated foreign key
-- that carries the tenant key on both sides proves that there are none: then no row is read.
--
-- kind: data
-- model: column
-- severity: P0
-- uses: tenant_table, tenant_directory, relation, walked_table, comparison
with equality as (
  select jsonb_object_agg(m.left_type || ' ' || m.right_type, m.equal) as forms from comparison as m
),
link as (
  select
    r.*,
    c.object as child_object,
    c.key as child_key,
    c.key_attnum as child_attnum,
    c.key_type as child_type,
    p.object as parent_object,
    p.key as parent_key,
    p.key_attnum as parent_attnum,
    p.key_type as parent_type,
    -- NULL where the child's key is no column of the relation.
    coalesce(r.parent_columns[array_position(r.child_columns, c.key_attnum)] = p.key_attnum, false) as carries_key
  from relation as r
  join tenant_table as c on c.oid = r.child
  join tenant_table as p on p.oid = r.parent
  -- Arrays, not joins: estimates of the joins below would be too low by far.
  where r.child <> all (array(select d.oid from tenant_directory as d))
    and r.parent <> all (array(select d.oid from tenant_directory as d))
),
judged as (
  select
    l.*,
    -- A key whose triggers are switched off proves nothing.
    l.carries_key and l.is_validated and l.conoid <> all (array(
      select t.tgconstraint from pg_trigger as t where t.tgenabled = 'D' and t.tgconstraint <> 0
    )) as is_proof
  from link as l
),
open as (
  select
    j.*,
    g.*,
    -- Where the columns without the key may fit rows of several tenants, one of the own tenant is enough.
    j.conoid = 0 or j.carries_key as is_ambiguous,
    format(
      e.forms ->> (j.parent_type || ' ' || j.child_type), 'p.' || quote_ident(j.parent_key), 'c.' || quote_ident(j.child_key)
    ) as same
  from judged as j
  cross join equality as e
  cross join lateral (
    select
      count(*) as columns,
      string_agg(
        format(
          e.forms ->> (pa.atttypid || ' ' || ca.atttypid), 'p.' || quote_ident(pa.attname), 'c.' || quote_ident(ca.attname)
        ),
        ' and ' order by w.place) as found,
      array_agg(ca.attname::text order by w.place) as child_names,
      array_agg(pa.attname::text order by w.place) as parent_names,
      string_agg(quote_ident(ca.attname), ', ' order by w.place) as child_list,
      string_agg(quote_ident(pa.attname), ', ' order by w.place) as parent_list,
      array_agg(w.child_attnum || ' ' || w.parent_attnum order by w.child_attnum, w.parent_attnum) as pairs
    from unnest(j.child_columns, j.parent_columns) with ordinality as w (child_attnum, parent_attnum, place)
    join pg_attribute as ca on ca.attrelid = j.child and ca.attnum = w.child_attnum
    join pg_attribute as pa on pa.attrelid = j.parent and pa.attnum = w.parent_attnum
    where not (w.child_attnum = j.child_attnum and w.parent_attnum = j.parent_attnum)
  ) as g
  where not j.is_proof
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
from open as w
join walked_table as t on t.oid = w.child
join walked_table as p on p.oid = w.parent
where w.columns > 0
  -- A declared relation of which a column is missing is none; [tenancy] is said to be wrong elsewhere.
  and coalesce(w.columns + w.carries_key::int = cardinality(w.child_columns), false)
  and coalesce(w.columns + w.carries_key::int = cardinality(w.parent_columns), false)
  -- Another key over the same columns, with the tenant key, proves it.
  and not exists (
    select from judged as k
    where k.is_proof and k.child = w.child and k.parent = w.parent and w.pairs = array(
      select x.child_attnum || ' ' || x.parent_attnum
      from unnest(k.child_columns, k.parent_columns) as x (child_attnum, parent_attnum)
      where not (x.child_attnum = k.child_attnum and x.parent_attnum = k.parent_attnum)
      order by x.child_attnum, x.parent_attnum
    )
  )
-- Of two keys for the same columns the better one.
order by w.child_object, w.parent_object, w.pairs, w.conoid = 0, w.carries_key desc, w.conname
