-- An application role that row level security does not bind.
--
-- It is a superuser or has BYPASSRLS, or can become a role that is or has: no policy of any table applies to it, and
-- whoever gets a statement through sees and changes the rows of all tenants.
--
-- model: rls
-- severity: P0
-- uses: app_identity
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
        where m.member = i.app and pg_has_role(m.roleid, i.identity, 'MEMBER')
      ), format('REVOKE %I FROM %I;', i.identity_name, i.app_name)
    )
  end as remedy
from app_identity as i
where i.is_exempt
order by 1, 2
