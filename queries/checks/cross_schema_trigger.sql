-- A trigger whose function lies in another tenant's schema.
--
-- It is given every row that is written here, and what the other tenant's function does with them is decided there.
-- Functions in a schema that tenants share, and triggers that are disabled, are none of this.
--
-- model: schema
-- severity: P1
-- uses: tenant_schema
select
  w.object,
  coalesce(s.role, '') as role,
  g.tgname as part,
  format(
    'The trigger %I of %s runs %s, of tenant %s: every row that is written here passes through code of another tenant.',
    g.tgname, w.object, g.tgfoid::regprocedure, o.tenant
  ) as detail,
  format('DROP TRIGGER %I ON %s;  -- and make it anew with a function of its own schema', g.tgname, w.object) as remedy
from pg_trigger as g
join pg_proc as p on p.oid = g.tgfoid
join tenant_schema as o on o.oid = p.pronamespace
join pg_class as c on c.oid = g.tgrelid and c.relnamespace <> p.pronamespace
join pg_namespace as n on n.oid = c.relnamespace
left join tenant_schema as s on s.oid = c.relnamespace
cross join lateral (select format('%I.%I', n.nspname, c.relname) as object) as w
where not g.tgisinternal
  and g.tgparentid = 0
  and g.tgenabled <> 'D'
  and s.tenant is distinct from o.tenant
  and n.nspname <> 'monitoring'
order by 1, 3
