-- An application role that row level security does not bind.
--
-- It is a superuser or has BYPASSRLS, or can become a role that is or has: no policy of any table applies to it, and
-- whoever gets a statement through sees and changes the rows of all tenants. Where the application is a group that
-- cannot log in, the logins in it are looked at as well.
--
-- model: rls
-- severity: P0
-- uses: tenancy, app_role, app_identity, membership
with bypass as (
  select i.app, i.app_name, i.identity, i.identity_name, i.rolsuper
  from app_identity as i
  where i.is_exempt
  union
  select l.oid, l.rolname, b.oid, b.rolname, b.rolsuper
  from app_role as g
  join membership as w on w.becomes = g.oid
  join pg_roles as l on l.oid = w.role and l.rolcanlogin and l.oid <> 10 -- who made the cluster
  join membership as m on m.role = l.oid
  join pg_roles as b on b.oid = m.becomes and (b.rolsuper or b.rolbypassrls)
  cross join tenancy as t
  where not g.rolcanlogin
    and l.rolname <> all (t.admin_roles)
    and l.rolname <> t.own_role
    and (l.oid = b.oid or pg_has_role(
      l.oid, b.oid, case when current_setting('server_version_num')::integer >= 160000 then 'SET' else 'MEMBER' end
    ))
)
select
  quote_ident(i.identity_name) as object,
  i.app_name as role,
  case
    when i.identity = i.app then format(
      '%s %s: no policy applies to it, and it sees the rows of every tenant.', i.app_name,
      case when i.rolsuper then 'is a superuser' else 'has BYPASSRLS' end
    )
    else format(
      '%s can become %s, which %s: no policy then applies to it, and it sees the rows of every tenant.',
      i.app_name, i.identity_name, case when i.rolsuper then 'is a superuser' else 'has BYPASSRLS' end
    )
  end as detail,
  case
    when i.identity = i.app then format(
      'ALTER ROLE %I %s;', i.app_name, case when i.rolsuper then 'NOSUPERUSER NOBYPASSRLS' else 'NOBYPASSRLS' end
    )
    else coalesce(
      (
        select string_agg(distinct format('REVOKE %s FROM %I;', m.roleid::regrole, i.app_name), ' ')
        from pg_auth_members as m
        where m.member = i.app
          and (m.roleid = i.identity or m.roleid in (
            select w.role from membership as w where w.becomes = i.identity
          ))
      ), format('REVOKE %I FROM %I;', i.identity_name, i.app_name)
    )
  end as remedy
from bypass as i
order by 1, 2
