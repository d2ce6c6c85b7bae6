-- What keeps tenants apart has not been changed unseen.
--
-- One digest over row level security, policies, privileges, views, functions that run as their owner, memberships and
-- settings. It never fails by itself: when it changes, an event names what changed.
--
-- kind: fingerprint
-- model: all
-- severity: P3
-- uses: tenancy, pool_relation, tenant_schema, pool_schema
with place as (
  select s.oid, s.nspname, s.nspowner, s.nspacl from pool_schema as s
  union all
  select s.oid, s.nspname, s.nspowner, s.nspacl from tenant_schema as s
), thing as (
  select c.oid, c.relname, c.relkind, c.relowner, c.relacl, c.relrowsecurity, c.relforcerowsecurity, c.reloptions,
    quote_ident(p.nspname) || '.' || quote_ident(c.relname) as object
  from place as p
  join pg_class as c on c.relnamespace = p.oid
  where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
), named as (
  select r.oid, r.rolname from pg_roles as r
)
select 'schema' as kind, quote_ident(p.nspname) as object,
  'owner ' || coalesce(o.rolname, p.nspowner::text) || ', ' || coalesce(p.nspacl::text, 'default privileges') as definition
from place as p
left join named as o on o.oid = p.nspowner
union all
select
  case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table'
    when 'S' then 'sequence' else 'table' end,
  c.object,
  concat_ws(', ',
    'owner ' || coalesce(o.rolname, c.relowner::text),
    case when c.relkind in ('r', 'p') then 'row level security ' || case
      when not c.relrowsecurity then 'off' when c.relforcerowsecurity then 'forced' else 'on' end end,
    coalesce(c.relacl::text, 'default privileges'),
    c.reloptions::text,
    'definition ' || md5(w.ev_action::text))
from thing as c
left join named as o on o.oid = c.relowner
-- Not pg_get_viewdef: it locks all that a view reads, which of thousands of views leaves others no locks.
left join pg_rewrite as w on w.ev_class = c.oid and w.rulename = '_RETURN' and c.relkind in ('v', 'm')
union all
select 'column privileges', c.object || '.' || quote_ident(a.attname), a.attacl::text
from thing as c
join pg_attribute as a on a.attrelid = c.oid and a.attacl is not null and not a.attisdropped
union all
select 'policy', quote_ident(p.polname) || ' on ' || c.object,
  concat_ws(' ',
    case when p.polpermissive then 'permissive' else 'restrictive' end,
    'for ' || case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete'
      else 'all' end,
    'to ' || (
      select string_agg(coalesce(r.rolname::text, 'public'), ', ' order by r.rolname)
      from unnest(p.polroles) as u (oid) left join named as r on r.oid = u.oid
    ),
    'using ' || pg_get_expr(p.polqual, p.polrelid),
    'with check ' || pg_get_expr(p.polwithcheck, p.polrelid))
from pg_policy as p
join thing as c on c.oid = p.polrelid
union all
select 'trigger', quote_ident(t.tgname) || ' on ' || c.object,
  concat_ws(' ', t.tgenabled::text, pg_get_triggerdef(t.oid))
from pg_trigger as t
join thing as c on c.oid = t.tgrelid
where not t.tgisinternal
union all
select 'function', left(quote_ident(s.nspname) || '.' || quote_ident(f.proname)
    || '(' || pg_get_function_identity_arguments(f.oid) || ')', 1000),
  concat_ws(', ',
    'owner ' || coalesce(o.rolname, f.proowner::text),
    case when f.prosecdef then 'security definer' end,
    case when f.proleakproof then 'leakproof' end,
    coalesce(f.proacl::text, 'default privileges'),
    f.proconfig::text,
    'body ' || md5(concat(f.prosrc, to_jsonb(f) ->> 'prosqlbody')))
from place as s
join pg_proc as f on f.pronamespace = s.oid
left join named as o on o.oid = f.proowner
union all
select 'role', quote_ident(r.rolname),
  concat_ws(', ',
    case when r.rolsuper then 'superuser' end,
    case when r.rolbypassrls then 'bypassrls' end,
    case when r.rolcanlogin then 'login' else 'nologin' end,
    case when not r.rolinherit then 'noinherit' end)
from pg_roles as r
where r.rolname !~ '^pg_'
union all
select 'membership', quote_ident(a.rolname) || ' in ' || quote_ident(b.rolname),
  string_agg(concat_ws(', ',
    'member',
    case when m.admin_option then 'admin option' end,
    'inherit ' || (to_jsonb(m) ->> 'inherit_option'),
    'set ' || (to_jsonb(m) ->> 'set_option')), '; ' order by m.grantor)
from pg_auth_members as m
join named as a on a.oid = m.member
join named as b on b.oid = m.roleid
group by a.rolname, b.rolname
union all
select 'setting',
  coalesce('role ' || quote_ident(r.rolname), 'all roles') || coalesce(' in ' || quote_ident(d.datname), ''),
  array_to_string(s.setconfig, ', ')
from pg_db_role_setting as s
left join named as r on r.oid = s.setrole
left join pg_database as d on d.oid = s.setdatabase
where s.setdatabase in (0, (select d.oid from pg_database as d where d.datname = current_database()))
union all
select 'publication', quote_ident(p.pubname),
  concat_ws(', ',
    'publishes',
    case when p.puballtables then 'all tables' end,
    (
      select string_agg(c.object || coalesce(' with the row filter ' || md5(to_jsonb(r) ->> 'prqual'), ''), ', '
        order by c.object)
      from pg_publication_rel as r join thing as c on c.oid = r.prrelid where r.prpubid = p.oid
    ))
from pg_publication as p
