-- A view or materialized view that shows one tenant's tables to another.
--
-- A view reads as its owner, and a materialized view holds what was read: whoever may select from it needs no privilege
-- on the tables below. Views over views are followed. A view with security_invoker shows what its reader may read
-- anyhow, and one that neither a tenant nor the application may read shows nothing.
--
-- model: schema
-- severity: P0
-- uses: tenant_schema, tenant_user
with recursive edge as (
  select distinct w.ev_class as view, d.refobjid as base
  from pg_depend as d
  join pg_rewrite as w on w.oid = d.objid
  where d.classid = 'pg_rewrite'::regclass
    and d.refclassid = 'pg_class'::regclass
    and d.refobjid >= 16384
    and d.refobjid <> w.ev_class
),
way as (
  -- Only what reads the table itself decides as whom it is read.
  select e.view, e.view as reader, e.base, s.oid as schema, s.tenant
  from edge as e
  join pg_class as b on b.oid = e.base
  join tenant_schema as s on s.oid = b.relnamespace
  union
  select e.view, w.reader, w.base, w.schema, w.tenant
  from way as w
  join edge as e on e.base = w.view
),
crossing as (
  select
    v.oid,
    v.relkind,
    v.relnamespace,
    n.nspname,
    v.relname,
    o.tenant as own,
    w.tenant,
    w.base,
    -- A materialized view holds what it read.
    r.relkind = 'm' or has_table_privilege(r.relowner, w.base, 'SELECT')
      or has_any_column_privilege(r.relowner, w.base, 'SELECT') as is_full,
    exists (
      select from unnest(r.reloptions) as p (setting)
      where p.setting in ('security_invoker=true', 'security_invoker=on', 'security_invoker=1', 'security_invoker=yes')
    ) as is_invoker
  from way as w
  join pg_class as v on v.oid = w.view and v.relkind in ('v', 'm') and v.relnamespace <> w.schema
  join pg_namespace as n on n.oid = v.relnamespace
  join pg_class as r on r.oid = w.reader
  left join tenant_schema as o on o.oid = v.relnamespace
  where o.tenant is distinct from w.tenant and n.nspname <> 'monitoring'
),
reader as materialized (
  select c.oid, u.app_name, u.identity, u.tenants
  from (select distinct v.oid, v.relnamespace from crossing as v) as c
  join tenant_user as u on not u.is_superuser
  where has_schema_privilege(u.identity, c.relnamespace, 'USAGE')
    and (has_table_privilege(u.identity, c.oid, 'SELECT') or has_any_column_privilege(u.identity, c.oid, 'SELECT'))
),
seen as (
  select c.oid, c.tenant, r.app_name
  from crossing as c
  join reader as r on r.oid = c.oid and c.tenant <> all (r.tenants)
  where case
    when c.is_invoker then
      has_table_privilege(r.identity, c.base, 'SELECT') or has_any_column_privilege(r.identity, c.base, 'SELECT')
    else c.is_full
  end
  union
  -- Nothing is known of roles: whoever may read it, it is there.
  select c.oid, c.tenant, null
  from crossing as c
  where not c.is_invoker and not exists (select from tenant_user)
)
select
  w.object,
  coalesce(o.role, '') as role,
  format(
    '%s shows rows of %s to %s.',
    w.object,
    case
      when count(distinct s.tenant) > 3 then count(distinct s.tenant) || ' tenants'
      else 'tenant ' || string_agg(distinct s.tenant, ', ')
    end,
    case
      when count(distinct s.app_name) = 0 then 'whoever may read it'
      when count(distinct s.app_name) > 3 then count(distinct s.app_name) || ' roles of other tenants'
      else string_agg(distinct s.app_name::text, ', ')
    end
  ) as detail,
  format('DROP %s %s;', case v.relkind when 'm' then 'MATERIALIZED VIEW' else 'VIEW' end, w.object) as remedy
from seen as s
join pg_class as v on v.oid = s.oid
join pg_namespace as n on n.oid = v.relnamespace
left join tenant_schema as o on o.oid = v.relnamespace
cross join lateral (select format('%I.%I', n.nspname, v.relname) as object) as w
group by w.object, v.relkind, o.role
order by 1
