-- Roles that the application works as: the declared ones, or all logins that were granted tenants' tables.
--
-- Superusers, operators, the agent's own role and, where roles are not declared, owners of tenant tables that were
-- granted nothing are none.
--
-- uses: tenancy, tenant_table, tenant_schema, membership
select r.oid, r.rolname, r.rolsuper, r.rolbypassrls, r.rolcanlogin
from pg_roles as r
cross join tenancy as t
where case
  when t.app_roles <> '{}' then r.rolname = any (t.app_roles)
  else r.rolcanlogin
    and not r.rolsuper
    and r.rolname <> t.own_role
    and r.rolname <> all (t.admin_roles)
    and exists (
      select
      from membership as m
      join (
        select x.grantee
        from tenant_table as c
        cross join lateral aclexplode(c.relacl) as x
        where x.grantee <> c.relowner
      ) as g on g.grantee = m.becomes
      where m.role = r.oid
    )
end
union
select s.role_oid, r.rolname, r.rolsuper, r.rolbypassrls, r.rolcanlogin
from tenant_schema as s
join pg_roles as r on r.oid = s.role_oid
