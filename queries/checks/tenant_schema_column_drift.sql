-- A tenant's table that is missing, or whose columns differ from what most tenants have.
--
-- A statement that is right for one tenant fails for another, or leaves out what it should hide. Columns are compared
-- by name, type and NOT NULL, not by order; a type of the tenant's own schema is the same as one of that name in
-- another. With no majority, the table of the oldest schema is the pattern. Schemas without any table, partitions and
-- tables that most tenants do not have are left out.
--
-- model: schema
-- severity: P2
-- timeout: 10s
-- uses: tenant_schema, tenant_relation, usual_relation
with described as materialized (
  select r.oid, r.relname, r.schema, d.columns
  from tenant_relation as r
  join usual_relation as u on u.relname = r.relname
  join (
    select a.attrelid, bit_xor(hashtextextended(a.attname::text, a.kind * 1000003 + a.atttypmod)) as columns
    from (
      select a.attrelid, a.attname, a.atttypmod,
        case when y.typnamespace = c.relnamespace then hashtext(y.typname::text)::bigint else a.atttypid::bigint end * 2
          + a.attnotnull::integer as kind
      from pg_attribute as a
      join pg_class as c on c.oid = a.attrelid
      join tenant_schema as s on s.oid = c.relnamespace
      join pg_type as y on y.oid = a.atttypid
      where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'f')
    ) as a
    group by a.attrelid
  ) as d on d.attrelid = r.oid
),
pattern as (
  select distinct on (w.relname) w.relname, w.columns, w.example, w.schemas
  from (
    select d.relname, d.columns, count(*) as schemas, min(d.schema) as oldest,
      (array_agg(d.oid order by d.schema))[1] as example
    from described as d
    group by d.relname, d.columns
  ) as w
  order by w.relname, w.schemas desc, w.oldest
),
differing as (
  select d.oid, d.relname, d.schema, p.example, p.schemas
  from described as d
  join pattern as p on p.relname = d.relname and p.columns <> d.columns
),
listed as (
  select f.oid, f.schema, f.relname, f.schemas, mine.attname is null as is_missing, other.attname is null as is_added,
    coalesce(mine.attname, other.attname) as name,
    mine.type as type, other.type as usual_type,
    (mine.kind, mine.atttypmod) is not distinct from (other.kind, other.atttypmod) as is_of_type, mine.attnotnull
  from differing as f
  cross join lateral (
    select coalesce(a.attname, b.attname) as attname
    from (select x.attname from pg_attribute as x where x.attrelid = f.oid and x.attnum > 0 and not x.attisdropped) as a
    full join (
      select x.attname from pg_attribute as x where x.attrelid = f.example and x.attnum > 0 and not x.attisdropped
    ) as b using (attname)
  ) as n
  left join lateral (
    select x.attname, format_type(x.atttypid, x.atttypmod) as type, x.atttypmod, x.attnotnull,
      case when y.typnamespace = c.relnamespace then y.typname::text else y.oid::text end as kind
    from pg_attribute as x
    join pg_type as y on y.oid = x.atttypid
    join pg_class as c on c.oid = x.attrelid
    where x.attrelid = f.oid and x.attname = n.attname and x.attnum > 0 and not x.attisdropped
  ) as mine on true
  left join lateral (
    select x.attname, format_type(x.atttypid, x.atttypmod) as type, x.atttypmod, x.attnotnull,
      case when y.typnamespace = c.relnamespace then y.typname::text else y.oid::text end as kind
    from pg_attribute as x
    join pg_type as y on y.oid = x.atttypid
    join pg_class as c on c.oid = x.attrelid
    where x.attrelid = f.example and x.attname = n.attname and x.attnum > 0 and not x.attisdropped
  ) as other on true
  where (mine.kind, mine.atttypmod, mine.attnotnull) is distinct from (other.kind, other.atttypmod, other.attnotnull)
)
select
  format('%I.%I', s.nspname, l.relname) as object,
  coalesce(s.role, '') as role,
  '' as part,
  format(
    '%I.%I differs from that of %s: %s.', s.nspname, l.relname,
    case when l.schemas = 1 then 'another tenant' else l.schemas || ' tenants' end,
    string_agg(
      case
        when l.is_missing then format('%I %s is missing', l.name, l.usual_type)
        when l.is_added then format('%I %s is there alone', l.name, l.type)
        when l.is_of_type then format('%I %s', l.name, case when l.attnotnull then 'is NOT NULL' else 'may be NULL' end)
        else format('%I is %s and not %s', l.name, l.type, l.usual_type)
      end,
      ', ' order by l.name
    )
  ) as detail,
  (array_agg(
    case
      when l.is_missing then format('ALTER TABLE %I.%I ADD COLUMN %I %s;', s.nspname, l.relname, l.name, l.usual_type)
      when l.is_added then format('ALTER TABLE %I.%I DROP COLUMN %I;', s.nspname, l.relname, l.name)
      when l.is_of_type then format(
        'ALTER TABLE %I.%I ALTER COLUMN %I %s NOT NULL;', s.nspname, l.relname, l.name,
        case when l.attnotnull then 'DROP' else 'SET' end)
      else format('ALTER TABLE %I.%I ALTER COLUMN %I TYPE %s;', s.nspname, l.relname, l.name, l.usual_type)
    end
    order by l.name
  ))[1] as remedy
from listed as l
join tenant_schema as s on s.oid = l.schema
group by s.nspname, l.relname, s.role, l.schemas
union all
select
  format('%I.%I', s.nspname, u.relname),
  coalesce(s.role, ''),
  'missing',
  format('%I has no %I, which %s schemas of tenants have: statements on it fail.', s.nspname, u.relname, u.schemas),
  format('Create %I.%I.', s.nspname, u.relname)
from usual_relation as u
cross join tenant_schema as s
where s.oid in (select r.schema from tenant_relation as r)
  and not exists (select from tenant_relation as r where r.schema = s.oid and r.relname = u.relname)
order by 1, 3
