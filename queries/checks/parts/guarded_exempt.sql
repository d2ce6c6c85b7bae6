-- Roles of definer functions that see all rows of relations which row level security keeps apart.
--
-- A role bypasses when it is a superuser, has BYPASSRLS or has the rights of the owner of a table without FORCE, and
-- where there is no row level security at all.
--
-- uses: guarded_relation
select
  o.oid as role,
  o.rolname,
  case
    when o.rolsuper then 'a superuser'
    when o.rolbypassrls then 'with BYPASSRLS'
    else 'the owner of tables without FORCE'
  end as why,
  g.oid
from (
  select distinct p.proowner from pg_proc as p where p.prosecdef and p.oid >= 16384
) as f
join pg_roles as o on o.oid = f.proowner
cross join (
  select g.relowner, g.relforcerowsecurity, g.relrowsecurity, array_agg(g.oid) as relations
  from guarded_relation as g
  group by 1, 2, 3
) as s
cross join lateral unnest(s.relations) as g (oid)
where o.rolsuper
  or o.rolbypassrls
  or not s.relforcerowsecurity and pg_has_role(o.oid, s.relowner, 'USAGE')
