-- A materialized view of tenants' rows that the application may read.
--
-- It holds what its owner saw when it was refreshed, and row level security cannot be on it.
--
-- model: rls
-- severity: P0
-- uses: tenant_view, tenant_view_access, guarded_relation, view_source
with recursive holds as (
  select v.oid as top, v.oid as relation from tenant_view as v where v.relkind = 'm'
  union
  select h.top, s.source from holds as h join view_source as s on s.view = h.relation
)
select
  v.object,
  a.app_name as role,
  case when v.relispopulated then 'P0' else 'P2' end as severity,
  case
    when v.relispopulated then format('%s holds rows of every tenant out of %s, and %s reads them all: row level '
      'security cannot be on a materialized view.', v.object, h.sources, a.app_name)
    else format('%s is empty until it is refreshed, and then shows %s the rows of every tenant out of %s.', v.object,
      a.app_name, h.sources)
  end as detail,
  format('REVOKE SELECT ON %s FROM %s; -- or give a security_barrier view of it that compares the key with the context',
    v.object, coalesce(g.grantees, quote_ident(a.app_name))) as remedy
from tenant_view as v
join tenant_view_access as a on a.oid = v.oid and a.can_select
join lateral (
  select string_agg(distinct g.object, ', ') as sources
  from holds as h
  join guarded_relation as g on g.oid = h.relation
  where h.top = v.oid
) as h on true
cross join lateral (
  select string_agg(case when x.grantee = 0 then 'PUBLIC' else x.grantee::regrole::text end, ', ') as grantees
  from pg_class as c
  cross join lateral aclexplode(c.relacl) as x
  where c.oid = v.oid and x.privilege_type = 'SELECT' and x.grantee <> v.relowner
    and (x.grantee = 0 or pg_has_role(a.app, x.grantee, 'MEMBER'))
) as g
where v.relkind = 'm'
order by 1, 2
