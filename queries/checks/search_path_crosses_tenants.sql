-- A search_path that names another tenant's schema: of a tenant's role, of a function, or of the whole database.
--
-- A statement that names no schema then reads and writes the other tenant's tables. A path of the database is one step
-- less where every role has its own.
--
-- model: schema
-- severity: P0
-- uses: tenancy, membership, tenant_schema, tenant_user, search_path
with crossing as (
  select p.setrole, p.setdatabase, p.function, p.rolname, o.nspname, o.tenant
  from search_path as p
  join tenant_schema as o on o.nspname = p.nspname
),
worker as (
  select distinct u.app, u.tenants
  from tenant_user as u
  union all
  -- Logins of one tenant, by the role that they can become.
  select m.role, array_agg(distinct s.tenant)
  from tenancy as t
  cross join tenant_schema as s
  join membership as m on m.becomes = s.role_oid and m.role <> s.role_oid
  join pg_roles as r on r.oid = m.role and r.rolname <> all (t.admin_roles) and not r.rolsuper
  where m.role not in (select u.app from tenant_user as u)
  group by m.role
  having count(distinct s.tenant) = 1
)
select w.object, w.role, w.part, w.severity, w.detail, w.remedy
from (
  select
    quote_ident(c.rolname) as object,
    c.rolname::text as role,
    case when c.setdatabase <> 0 then 'database' else '' end as part,
    case when u.tenants = '{}' and count(distinct c.tenant) = 1 then 'P1' else 'P0' end as severity,
    format(
      'The search_path of %I names %s, of tenant %s: statements without a schema work there.',
      c.rolname, string_agg(distinct quote_ident(c.nspname), ', '), string_agg(distinct c.tenant, ', ')
    ) as detail,
    format(
      'ALTER ROLE %I%s SET search_path = …;  -- without %s', c.rolname,
      case when c.setdatabase <> 0 then format(' IN DATABASE %I', current_database()) else '' end,
      string_agg(distinct quote_ident(c.nspname), ', ')
    ) as remedy
  from crossing as c
  join worker as u on u.app = c.setrole
  where c.tenant <> all (u.tenants)
  group by c.rolname, c.setdatabase, u.tenants
  union all
  -- Of the database: whoever has no setting of his own.
  select
    quote_ident(current_database()),
    '',
    case when c.setdatabase <> 0 then 'database' else 'all' end,
    case
      when not exists (select from worker)
        or exists (
          select from worker as u
          where not exists (select from search_path as p where p.setrole = u.app)
            and exists (
              select from crossing as d
              where d.setrole = 0 and d.function = 0 and d.tenant <> all (u.tenants)
            )
        )
        then 'P0'
      else 'P1'
    end,
    format(
      'The search_path of the database names %s, of tenant %s: statements without a schema work there, of all roles '
      'that have no search_path of their own.',
      string_agg(distinct quote_ident(c.nspname), ', '), string_agg(distinct c.tenant, ', ')
    ),
    case
      when c.setdatabase <> 0 then format('ALTER DATABASE %I RESET search_path;', current_database())
      else 'ALTER ROLE ALL RESET search_path;'
    end
  from crossing as c
  where c.setrole = 0 and c.function = 0
  group by c.setdatabase
  union all
  select
    p.oid::regprocedure::text,
    coalesce(s.role, ''),
    '',
    'P0',
    format(
      '%s sets a search_path that names %s, of tenant %s: whoever calls it works there.',
      p.oid::regprocedure, string_agg(distinct quote_ident(c.nspname), ', '), string_agg(distinct c.tenant, ', ')
    ),
    format('ALTER ROUTINE %s SET search_path = …;  -- without %s', p.oid::regprocedure,
      string_agg(distinct quote_ident(c.nspname), ', '))
  from crossing as c
  join pg_proc as p on p.oid = c.function
  left join tenant_schema as s on s.oid = p.pronamespace
  where s.tenant is distinct from c.tenant
    and (
      not exists (select from tenant_user)
      or exists (
        select from tenant_user as u
        where not u.is_superuser
          and c.tenant <> all (u.tenants)
          and has_schema_privilege(u.identity, p.pronamespace, 'USAGE')
          and has_function_privilege(u.identity, p.oid, 'EXECUTE')
      )
      or exists (select from pg_trigger as g where g.tgfoid = p.oid and not g.tgisinternal and g.tgenabled <> 'D')
    )
  group by p.oid, s.role
) as w
order by 1, 3
