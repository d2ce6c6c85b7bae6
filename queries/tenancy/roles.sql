-- Who works with tenants' tables: the application's roles, and those that may see all tenants.
--
-- A login that was granted such tables is the application's, unless it has BYPASSRLS, no policy names it, its name does
-- not say so either, and there is another one. Where nobody was granted anything, the owner is who works with them.
--
-- uses: tenancy, tenant_table, membership
with granted as (
  select distinct x.grantee
  from tenant_table as c
  cross join lateral aclexplode(c.relacl) as x
  where x.grantee not in (0, c.relowner)
),

owner as (
  select relowner as role, count(*) as tables from tenant_table group by relowner
),

named as (
  select distinct r.role
  from pg_policy as p
  join tenant_table as c on c.oid = p.polrelid
  cross join lateral unnest(p.polroles) as r (role)
  where r.role <> 0
),

login as (
  select
    r.oid,
    r.rolname,
    exists (select from membership as m join granted as g on g.grantee = m.becomes where m.role = r.oid) as is_granted,
    exists (select from membership as m join owner as o on o.role = m.becomes where m.role = r.oid) as is_owner,
    exists (select from membership as m join named as n on n.role = m.becomes where m.role = r.oid) as is_named,
    exists (
      select from membership as m join pg_roles as b on b.oid = m.becomes
      where m.role = r.oid and b.rolbypassrls
    ) as is_exempt
  from pg_roles as r
  cross join tenancy as t
  where r.rolcanlogin and not r.rolsuper and r.rolname <> t.own_role
),

judged as (
  select
    l.*,
    l.is_granted
      and (
        not l.is_exempt
        or l.is_named
        or l.rolname ~* '(^|_)(app|application|web|api|svc|service|backend|worker)(_|$)'
      )
      as is_application
  from login as l
  where l.is_granted or l.is_owner
)

select
  j.rolname::text as name,
  case
    when j.is_application then 'app'
    when exists (select from judged as o where o.is_application) then 'admin'
    else 'app'
  end as kind,
  case
    when j.is_granted and j.is_exempt then 'BYPASSRLS'
    when j.is_granted then 'granted tenants'' tables'
    when j.is_exempt then 'BYPASSRLS, and may act as their owner'
    else 'may act as their owner'
  end as reason
from judged as j
order by 2, 1
