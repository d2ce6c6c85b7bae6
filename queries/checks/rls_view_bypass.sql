-- A view that reads tenants' rows as a role which row level security does not bind, and that the application may use.
--
-- What a view reads is checked as the view's owner, unless it is a security_invoker view, and then as whoever asks,
-- also where another view reads it. A superuser, a role with BYPASSRLS and the owner of a table without FORCE see the
-- rows of all tenants. A view that compares the key with the context itself keeps tenants apart as long as it is a
-- security_barrier view; without, a condition that raises an error or a notice is told of rows that are not shown.
--
-- model: rls
-- severity: P0
-- uses: tenancy, guarded_relation, view_source, tenant_view, tenant_view_access, tenant_filter, app_access
with recursive edge as materialized (
  select s.view, s.source, s.checker, v.relkind, v.relispopulated, v.object
  from tenant_view as v
  join view_source as s on s.source = v.oid
),
reach as (
  select a.app, a.app_name, v.oid as top, v.oid as view, array[v.oid] as way
  from tenant_view_access as a
  join tenant_view as v using (oid)
  where v.relkind = 'v'
  union all
  select r.app, r.app_name, r.top, e.source, r.way || e.source
  from edge as e
  join reach as r on r.view = e.view
  where e.relkind = 'v'
    and e.source <> all (r.way)
    and case
      when e.checker is null then exists (
        select from tenant_view_access as x where x.oid = e.source and x.app = r.app and x.can_select
      )
      else has_table_privilege(e.checker, e.source, 'SELECT')
        or has_any_column_privilege(e.checker, e.source, 'SELECT')
    end
),
leak as (
  select r.app, r.app_name, r.top, r.way, r.view, g.object as source, o.rolname as owner,
    case
      when o.rolsuper then 'a superuser'
      when o.rolbypassrls then 'with BYPASSRLS'
      when g.relrowsecurity then 'its owner, without FORCE'
      else 'whom nothing binds there'
    end as why
  from reach as r
  join view_source as s on s.view = r.view
  join guarded_relation as g on g.oid = s.source
  join pg_roles as o on o.oid = s.checker
  where (has_table_privilege(o.oid, g.oid, 'SELECT') or has_any_column_privilege(o.oid, g.oid, 'SELECT'))
    and case
      when g.relrowsecurity
        then o.rolsuper or o.rolbypassrls
          or pg_has_role(o.oid, g.relowner, 'USAGE') and not g.relforcerowsecurity
      -- Where the application reads the table itself without row level security, that is the finding.
      else not exists (select from app_access as x where x.oid = g.oid and x.app = r.app and x.can_select)
    end
  union all
  select r.app, r.app_name, r.top, r.way, r.view, e.object, o.rolname, 'and nothing binds a materialized view'
  from edge as e
  join reach as r on r.view = e.view
  join pg_roles as o on o.oid = e.checker
  where e.relkind = 'm' and e.relispopulated
    and (has_table_privilege(o.oid, e.source, 'SELECT') or has_any_column_privilege(o.oid, e.source, 'SELECT'))
    and not exists (select from tenant_view_access as x where x.oid = e.source and x.app = r.app and x.can_select)
),
context as materialized (
  select f.pattern, f.opening from tenant_filter as f
),
-- 2: shows the tenant's own rows only; 1: so it does, but is no barrier.
filter as (
  select v.oid, case when v.is_barrier then 2 else 1 end as strength
  from tenant_view as v
  cross join context as f
  cross join lateral (select substring(pg_get_viewdef(v.oid) from '(?i)\mwhere\M.*') as text) as d
  where v.oid in (select unnest(l.way) from leak as l)
    and d.text !~* f.opening
    and (select count(*) from regexp_matches(d.text, f.pattern, 'gi'))
      > (select count(*) from regexp_matches(d.text, '\m(UNION|INTERSECT|EXCEPT)\M', 'g'))
)
select
  v.object,
  l.app_name as role,
  case when min(l.strength) = 0 then 'P0' else 'P2' end as severity,
  case
    when min(l.strength) = 0
      then format('Through %s, %s reaches the rows of every tenant in %s: the view reads as %s, %s.', v.object,
        l.app_name, string_agg(distinct l.source, ', '), min(quote_ident(l.owner)), min(l.why))
    else format('%s is no security_barrier view: a condition that raises an error tells %s of rows of other tenants in '
      '%s, which the view reads as %s.', v.object, l.app_name, string_agg(distinct l.source, ', '),
      min(quote_ident(l.owner)))
  end as detail,
  case
    when min(l.strength) = 1 then format('ALTER VIEW %s SET (security_barrier = true);', v.object)
    when current_setting('server_version_num')::integer >= 150000
      then string_agg(distinct format('ALTER VIEW %s SET (security_invoker = true);', b.object), ' ')
    else string_agg(distinct format('ALTER VIEW %s OWNER TO a role that row level security binds.', b.object), ' ')
  end as remedy
from (
  select l.*, coalesce((select max(f.strength) from filter as f where f.oid = any (l.way)), 0) as strength
  from leak as l
) as l
join tenant_view as v on v.oid = l.top
join tenant_view as b on b.oid = l.view
where l.strength < 2
group by v.object, l.app_name
order by 1, 2
