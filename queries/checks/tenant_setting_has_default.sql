-- A role or a database gives every session a tenant, before the application has said which.
--
-- A statement that forgets to set the context then works as that tenant, instead of failing. An empty value is none.
-- Settings of a role hold for its own logins: for the application's roles, and for those that become them.
--
-- model: rls
-- severity: P0
-- uses: tenancy, policy, app_role, membership
with context as (
  select lower(t.setting) as setting from tenancy as t where t.setting is not null
  union
  select lower(m.found[1])
  from policy as p
  cross join lateral regexp_matches(
    concat(p.using_expression, ' ', p.check_expression), 'current_setting\(''([^'']+)''', 'g'
  ) as m (found)
  where p.reads_key and not exists (select from tenancy as t where t.setting is not null)
),
given as (
  select s.setrole, s.setdatabase, split_part(c.line, '=', 1) as setting, substring(c.line from '=(.*)') as value
  from pg_db_role_setting as s
  cross join lateral unnest(s.setconfig) as c (line)
  where s.setdatabase in (0, (select d.oid from pg_database as d where d.datname = current_database()))
    and lower(split_part(c.line, '=', 1)) in (select x.setting from context as x)
    and substring(c.line from '=(.*)') <> ''
)
select
  case
    when r.rolname is not null then quote_ident(r.rolname)
    when g.setdatabase <> 0 then quote_ident(current_database())
    else 'server'
  end as object,
  coalesce(r.rolname, '') as role,
  case when g.setdatabase <> 0 then quote_ident(current_database()) else '' end || ' ' || g.setting as part,
  format('Each session %s begins as the tenant %L: a statement that was given no tenant reads and writes that one''s '
    'rows.',
    case
      when r.rolname is not null then 'of ' || r.rolname
      when g.setdatabase <> 0 then 'in ' || quote_ident(current_database())
      else 'of every role'
    end, g.value) as detail,
  format('ALTER %s RESET %s;',
    case
      when g.setrole = 0 and g.setdatabase <> 0 then format('DATABASE %I', current_database())
      else concat('ROLE ', coalesce(quote_ident(r.rolname), 'ALL'),
        case when g.setdatabase <> 0 then format(' IN DATABASE %I', current_database()) end)
    end, g.setting) as remedy
from given as g
cross join tenancy as t
left join pg_roles as r on r.oid = g.setrole
where g.setrole = 0
  or r.rolcanlogin
    and r.rolname <> all (t.admin_roles)
    and exists (select from membership as m join app_role as a on a.oid = m.becomes where m.role = r.oid)
union all
select
  'server',
  '',
  ' ' || c.setting,
  format('A new session begins as the tenant %L, which neither its role nor its database sets: the server''s '
    'configuration does, or a pooler gave a session that another client left so.', current_setting(c.setting, true)),
  format('Take %s out of postgresql.conf (ALTER SYSTEM RESET %s;), or set it with SET LOCAL alone.', c.setting,
    c.setting)
from context as c
where current_setting(c.setting, true) <> ''
  and not exists (
    select from pg_db_role_setting as s
    cross join lateral unnest(s.setconfig) as l (line)
    where s.setrole in (0, (select r.oid from pg_roles as r where r.rolname = current_user))
      and lower(split_part(l.line, '=', 1)) = c.setting
  )
order by 1, 2, 3
