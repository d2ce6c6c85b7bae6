-- A tenant's database to which PUBLIC or another tenant's role can connect.
--
-- Every role of the server is let in, or another tenant's: what it can read then is left to the grants within, of which
-- PUBLIC has many by default. A database of which nothing was granted or revoked lets everybody in.
--
-- model: database
-- severity: P1
-- uses: tenant_database, membership
with open as materialized (
  select d.oid, d.datname, d.datdba, d.tenant, d.role, x.grantee
  from tenant_database as d
  cross join lateral aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) as x
  where x.privilege_type = 'CONNECT'
)
select
  quote_ident(o.datname) as object,
  '' as role,
  format(
    'PUBLIC may connect to %I: every role of the server gets into the database of the tenant %s.', o.datname, o.tenant
  ) as detail,
  concat_ws(' ',
    format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC;', o.datname),
    'GRANT CONNECT ON DATABASE ' || quote_ident(o.datname) || ' TO ' || quote_ident(o.role) || ';') as remedy,
  '' as part
from open as o
where o.grantee = 0
union all
select
  quote_ident(o.datname),
  case when count(distinct r.role) = 1 then min(r.role) else pg_get_userbyid(o.grantee) end,
  format('%s of %s may connect to %I, the database of the tenant %s%s.',
    concat_ws(' and ', min(r.role), nullif(count(distinct r.role) - 1, 0) || ' more'),
    case when count(distinct r.tenant) = 1 then 'the tenant ' || min(r.tenant) else 'other tenants' end,
    o.datname,
    o.tenant,
    case
      when o.grantee = o.datdba then format(', as its owner %I', pg_get_userbyid(o.grantee))
      when bool_or(m.becomes = m.role) then ''
      else format(', as %I', pg_get_userbyid(o.grantee))
    end),
  case
    when o.grantee = o.datdba
      then format('ALTER DATABASE %I OWNER TO …, a role that no tenant can become.', o.datname)
    when bool_or(m.becomes = m.role) or count(distinct r.tenant) > 1
      then format('REVOKE CONNECT ON DATABASE %I FROM %I;', o.datname, pg_get_userbyid(o.grantee))
    else format('REVOKE %I FROM %I;', pg_get_userbyid(o.grantee), min(r.role))
  end,
  pg_get_userbyid(o.grantee)
from open as o
join membership as m on m.becomes = o.grantee
join tenant_database as r on r.role_oid = m.role and r.tenant <> o.tenant
where not exists (select from open as p where p.oid = o.oid and p.grantee = 0)
  -- A role that several tenants have is nobody's.
  and not exists (select from tenant_database as own where own.role_oid = m.role and own.tenant = o.tenant)
group by o.oid, o.datname, o.datdba, o.tenant, o.grantee
union all
select
  quote_ident(r.role),
  r.role,
  format('%I is a superuser, or can become one: the tenant %s gets into every tenant''s database.',
    r.role, min(r.tenant)),
  format('ALTER ROLE %I NOSUPERUSER; or take it out of the roles that are superusers.', r.role),
  'superuser'
from tenant_database as r
join membership as m on m.role = r.role_oid
join pg_roles as s on s.oid = m.becomes and s.rolsuper
group by r.role
