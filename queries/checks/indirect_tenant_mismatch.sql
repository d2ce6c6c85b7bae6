-- Rows without the tenant key that belong to two tenants at once, by two of the rows that they point at.
--
-- Whoever reaches such a row from his own side reads, by the other, what is another tenant's. No constraint can prove
-- that there are none: the key would have to be in the table.
--
-- kind: data
-- model: column
-- severity: P0
-- uses: pool_relation, tenant_table, indirect_table, tenant_directory, relation, walked_table, comparison
with recursive equality as (
  select jsonb_object_agg(m.left_type || ' ' || m.right_type, m.equal) as forms from comparison as m
),
link as (
  select
    -- By name: two ways are named in the same order in each run.
    row_number() over (order by r.child, g.label) as number,
    r.child,
    r.parent,
    g.label,
    g.found,
    r.is_validated and g.is_not_null as is_certain,
    jsonb_build_array(
      jsonb_build_object('relation', r.child, 'columns', g.child_names),
      jsonb_build_object('relation', r.parent, 'columns', g.parent_names)
    ) as needs,
    w.rows
  from relation as r
  join pool_relation as p on p.oid = r.parent
  join walked_table as w on w.oid = r.parent
  cross join equality as e
  cross join lateral (
    select
      -- A format of the parent's alias and the child's.
      string_agg(
        format(e.forms ->> (pa.atttypid || ' ' || ca.atttypid),
          '%1$s.' || replace(quote_ident(pa.attname), '%', '%%'),
          '%2$s.' || replace(quote_ident(ca.attname), '%', '%%')),
        ' and ' order by x.place) as found,
      case r.conoid
        when 0 then string_agg(quote_ident(ca.attname), ', ' order by x.place) || ' -> ' || p.object
        else r.conname
      end as label,
      bool_and(ca.attnotnull) as is_not_null,
      array_agg(ca.attname::text) as child_names,
      array_agg(pa.attname::text) as parent_names
    from unnest(r.child_columns, r.parent_columns) with ordinality as x (child_attnum, parent_attnum, place)
    join pg_attribute as ca on ca.attrelid = r.child and ca.attnum = x.child_attnum
    join pg_attribute as pa on pa.attrelid = r.parent and pa.attnum = x.parent_attnum
    having coalesce(count(*) = cardinality(r.child_columns) and count(*) = cardinality(r.parent_columns), false)
  ) as g
  where r.child = any (array(select i.oid from indirect_table as i where not i.relispartition))
    and r.parent = any (array(select i.oid from indirect_table as i union all select t.oid from tenant_table as t))
    and r.parent <> all (array(select d.oid from tenant_directory as d))
),
-- The joins of each way twice, with aliases of their own: any two ways are read together.
step as (
  select
    l.child as start,
    l.number as first,
    l.parent as at,
    array[l.number] as path,
    true as is_certain,
    l.label,
    l.needs,
    format('join %s as a1 on ', l.rows) || format(l.found, 'a1', 'c') as joins_a,
    format('join %s as b1 on ', l.rows) || format(l.found, 'b1', 'c') as joins_b
  from link as l
  union all
  select
    s.start,
    s.first,
    l.parent,
    s.path || l.number,
    s.is_certain and l.is_certain,
    s.label || '.' || l.label,
    s.needs || l.needs,
    s.joins_a || format(' join %s as a%s on ', l.rows, cardinality(s.path) + 1)
      || format(l.found, 'a' || cardinality(s.path) + 1, 'a' || cardinality(s.path)),
    s.joins_b || format(' join %s as b%s on ', l.rows, cardinality(s.path) + 1)
      || format(l.found, 'b' || cardinality(s.path) + 1, 'b' || cardinality(s.path))
  from step as s
  join link as l on l.child = s.at
  where cardinality(s.path) < 4 and l.number <> all (s.path)
),
way as (
  select
    s.*,
    t.object as tenant_object,
    t.key,
    t.key_type,
    s.needs || jsonb_build_array(jsonb_build_object('relation', t.oid, 'columns', array[t.key])) as all_needs,
    row_number() over (partition by s.start order by cardinality(s.path), s.path) as place,
    -- What the rows of the next table agree on is looked at there: one way on from it, which never ends at NULL, will do.
    not bool_or(s.is_certain) over (partition by s.start, s.first)
      or s.is_certain and 1 = row_number() over (
        partition by s.start, s.first, s.is_certain order by cardinality(s.path), s.path
      ) as is_needed
  from step as s
  join tenant_table as t on t.oid = s.at
)
select
  i.object,
  format('Rows of %s point at %s of one tenant and, by %s, at %s of another: who reads them together reads that tenant''s.',
    i.object, a.tenant_object, b.label, b.tenant_object) as detail,
  format('Mend those rows, then give %s the tenant key and foreign keys that carry it.', i.object) as remedy,
  a.label || ' / ' || b.label as part,
  i.oid as relation,
  format(
    'select count(*), array_agg(b.name) filter (where b.number <= 3) from ('
    'select %s as name, row_number() over () as number from %s as c %s %s '
    'where c.ctid >= ''@from@'' and c.ctid < ''@to@'' and not (%s)) as b',
    w.row_name, w.rows, a.joins_a, b.joins_b,
    format(e.forms ->> (a.key_type || ' ' || b.key_type),
      'a' || cardinality(a.path) || '.' || quote_ident(a.key),
      'b' || cardinality(b.path) || '.' || quote_ident(b.key))
  ) as sweep,
  a.all_needs || b.all_needs
    || jsonb_build_array(jsonb_build_object('relation', i.oid, 'columns', w.row_columns)) as needs
from way as a
-- Ways that begin with the same step part in another table, which is looked at itself.
join way as b on b.start = a.start and b.first > a.first
join indirect_table as i on i.oid = a.start
join walked_table as w on w.oid = i.oid
cross join equality as e
where a.place <= 8 and b.place <= 8 and a.is_needed and b.is_needed
order by 1, 4
