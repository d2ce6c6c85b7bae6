-- A column whose default takes its numbers from another tenant's sequence.
--
-- The gaps tell how many rows the other tenant adds, and numbers that are taken here are missing there. A sequence in a
-- schema that tenants share is none of this. A default that names the sequence in a text is found by its text.
--
-- model: schema
-- severity: P1
-- uses: tenant_schema
with counting as materialized (
  -- Defaults that call nextval(regclass), 1574.
  select d.oid, d.adrelid, d.adnum, d.adbin
  from pg_attrdef as d
  where d.adbin::text like '%:funcid 1574 %'
),
numbered as (
  select d.adrelid, d.adnum, q.relnamespace as schema, format('%I.%I', n.nspname, q.relname) as sequence
  from counting as d
  join pg_depend as e
    on e.classid = 'pg_attrdef'::regclass and e.objid = d.oid and e.refclassid = 'pg_class'::regclass
    and e.refobjsubid = 0
  join pg_class as q on q.oid = e.refobjid and q.relkind = 'S'
  join pg_namespace as n on n.oid = q.relnamespace
  union
  -- Of a text: no dependency.
  select d.adrelid, d.adnum, s.oid, s.nspname || '.' || m.names[2]
  from counting as d
  cross join lateral regexp_match(
    pg_get_expr(d.adbin, d.adrelid), '''("(?:[^"]|"")+"|[^''".]+)\.("(?:[^"]|"")+"|[^''".]+)''::text'
  ) as m (names)
  -- Quoted, or as it is; and quotes where none are needed.
  join tenant_schema as s
    on m.names[1] in (s.nspname, quote_ident(s.nspname), '"' || replace(s.nspname, '"', '""') || '"')
  where not exists (
    select from pg_depend as e
    where e.classid = 'pg_attrdef'::regclass and e.objid = d.oid and e.refclassid = 'pg_class'::regclass
      and e.refobjsubid = 0
  )
)
select
  w.object,
  coalesce(s.role, '') as role,
  a.attname as part,
  format(
    'The default of %s.%I takes numbers from %s, of tenant %s: the gaps tell how many rows the other adds, and the '
    'numbers taken here are missing there.',
    w.object, a.attname, k.sequence, o.tenant
  ) as detail,
  format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT nextval(…);  -- of its own schema', w.object, a.attname) as remedy
from numbered as k
join pg_class as c on c.oid = k.adrelid and c.relnamespace <> k.schema
join tenant_schema as o on o.oid = k.schema
join pg_namespace as n on n.oid = c.relnamespace
join pg_attribute as a on a.attrelid = c.oid and a.attnum = k.adnum
left join tenant_schema as s on s.oid = c.relnamespace
cross join lateral (select format('%I.%I', n.nspname, c.relname) as object) as w
where s.tenant is distinct from o.tenant and n.nspname <> 'monitoring'
order by 1, 3
