-- A table that one tenant's schema lacks, and a shared schema on the same search_path has.
--
-- Statements that name no schema do not fail: they read and write the shared table, together with every other tenant
-- that lacks it. The schemas on the path are those that are set for the tenant's role or the database; where none are
-- set, the shared ones, those of the pool and `public`. What most tenants do not have themselves is simply shared.
--
-- model: schema
-- severity: P1
-- uses: tenancy, tenant_schema, tenant_relation, usual_relation, search_path
with shared as (
  select n.oid, n.nspname, c.relname, u.schemas,
    n.nspname = any (t.shared_schemas || t.pool_schemas || array['public'::text]) as is_on_most_paths
  from tenancy as t
  cross join pg_namespace as n
  join pg_class as c on c.relnamespace = n.oid and c.relkind in ('r', 'p', 'v', 'm', 'f')
  join usual_relation as u on u.relname = c.relname
  where n.nspname !~ '^pg_'
    and n.nspname not in ('information_schema', 'monitoring')
    and n.oid not in (select s.oid from tenant_schema as s)
),
lacking as (
  select s.oid, s.nspname, s.tenant, s.role, s.role_oid, h.oid as shared_schema, h.nspname as shared_name, h.relname,
    h.schemas, h.is_on_most_paths
  from shared as h
  cross join tenant_schema as s
  where not exists (select from tenant_relation as r where r.schema = s.oid and r.relname = h.relname)
),
-- The setting that holds: of the role in this database, of the role, of the database, of all.
path as (
  select s.oid, p.nspname
  from tenant_schema as s
  join lateral (
    select p.nspname, rank() over (order by p.setrole <> 0 desc, p.setdatabase <> 0 desc) as place
    from search_path as p
    where p.function = 0 and p.setrole in (0, s.role_oid)
  ) as p on p.place = 1
  where s.oid in (select l.oid from lacking as l)
)
select
  format('%I.%I', l.nspname, l.relname) as object,
  coalesce(l.role, '') as role,
  l.shared_name as part,
  format(
    '%I has no %I, which %s schemas of tenants have: statements of tenant %s work on %I.%I, with whoever else does.',
    l.nspname, l.relname, l.schemas, l.tenant, l.shared_name, l.relname
  ) as detail,
  format('Create %I.%I, or rename %I.%I.', l.nspname, l.relname, l.shared_name, l.relname) as remedy
from lacking as l
where case
  when exists (select from path as p where p.oid = l.oid) then
    exists (select from path as p where p.oid = l.oid and p.nspname = l.shared_name)
  else l.is_on_most_paths
end
order by 1, 3
