-- Tables that only grow, as they are declared, and their partitions.
--
-- A name without a schema means the table of that name in every schema. `root` is the declared table, `declared` its
-- name as findings have it.
--
-- uses: tenancy
with recursive tree as (
  select
    c.oid,
    c.oid as root,
    quote_ident(n.nspname) || '.' || quote_ident(c.relname) as declared
  from tenancy as t
  cross join unnest(t.audit_tables) as d (name)
  -- Not to_regclass: it demands USAGE on the schema.
  cross join lateral (
    select case when d.name ~ v.quoted then parse_ident(d.name) else string_to_array(d.name, '.') end as name
    from (values ('^(([a-z_][a-z0-9_$]*|"([^"]|"")+")\.)?([a-z_][a-z0-9_$]*|"([^"]|"")+")$')) as v (quoted)
  ) as w
  join pg_class as c on c.relname = w.name[cardinality(w.name)] and c.relkind in ('r', 'p', 'f')
  join pg_namespace as n on n.oid = c.relnamespace
  where n.nspname !~ '^pg_'
    and n.nspname not in ('information_schema', 'monitoring')
    and (cardinality(w.name) = 1 or n.nspname = w.name[1])
  union
  select i.inhrelid, t.root, t.declared
  from tree as t
  join pg_inherits as i on i.inhparent = t.oid
)
-- A partition that is declared as well is its own.
select distinct on (c.oid)
  c.oid,
  t.root,
  t.declared,
  quote_ident(n.nspname) || '.' || quote_ident(c.relname) as object,
  c.relkind,
  c.relnamespace,
  c.relowner,
  c.relacl,
  c.relrowsecurity,
  c.relforcerowsecurity,
  c.relpages,
  c.reltoastrelid
from tree as t
join pg_class as c on c.oid = t.oid
join pg_namespace as n on n.oid = c.relnamespace
order by c.oid, t.root <> c.oid, t.root
