-- A tenant's role that may use what is another tenant's.
--
-- By a grant to itself or to a role that it can become, by membership in the other tenant's role, in the owner of its
-- tables, or in a role that may read everything. Grants in a schema that the role cannot enter are left out: without
-- USAGE on it they are of no use.
--
-- model: schema
-- severity: P0
-- uses: tenant_schema, tenant_user
with identity as (
  select u.app, u.app_name, u.identity, u.identity_name, u.is_superuser, u.tenants
  from tenant_user as u
  where u.tenants <> '{}'
),
everything as (
  select b.oid, b.rolname
  from pg_roles as b
  where b.rolsuper or b.rolname in ('pg_read_all_data', 'pg_write_all_data')
),
own_role as (
  select distinct s.role_oid, s.tenant
  from tenant_schema as s
  where s.role_oid is not null
),
-- What each role owns or was granted, as the server keeps it by role.
kept as materialized (
  select h.refobjid, h.deptype, h.classid, h.objid, h.objsubid
  from pg_shdepend as h
  where h.dbid = (select d.oid from pg_database as d where d.datname = current_database())
    and h.refclassid = 'pg_authid'::regclass
    and h.deptype in ('o', 'a')
    and h.classid in ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_namespace'::regclass, 'pg_default_acl'::regclass)
    and h.refobjid in (select i.identity from identity as i)
),
held as (
  select h.refobjid as holder, h.deptype = 'o' as is_owner, h.classid, h.objid, h.objsubid,
    coalesce(c.relnamespace, p.pronamespace, f.defaclnamespace, h.objid) as schema
  from kept as h
  left join pg_class as c on h.classid = 'pg_class'::regclass and c.oid = h.objid
  left join pg_proc as p on h.classid = 'pg_proc'::regclass and p.oid = h.objid
  left join pg_default_acl as f on h.classid = 'pg_default_acl'::regclass and f.oid = h.objid
  -- A tenant's role in its own schema is most of them.
  where not exists (
    select from tenant_schema as s
    where s.role_oid = h.refobjid and s.oid = coalesce(c.relnamespace, p.pronamespace, f.defaclnamespace, h.objid)
  )
),
foreign_held as (
  select h.*, s.nspname, s.nspacl, s.tenant
  from held as h
  join tenant_schema as s on s.oid = h.schema
  where not exists (select from own_role as r where r.role_oid = h.holder and r.tenant = s.tenant)
    and h.holder not in (select e.oid from everything as e)
),
-- Who of another tenant can become the holder, and whether it can enter the schema.
reach as (
  select h.schema, h.holder, count(*) as roles, (array_agg(h.app_name order by h.app_name))[1:3] as names,
    bool_or(h.is_inside) as is_inside
  from (
    select distinct f.schema, f.holder, i.app_name,
      f.is_open or exists (
        select from identity as j
        where j.app = i.app and has_schema_privilege(j.identity, f.schema, 'USAGE')
      ) as is_inside
    from (
      select g.schema, g.holder, g.tenant, has_schema_privilege(g.holder, g.schema, 'USAGE') as is_open
      from foreign_held as g
      group by g.schema, g.holder, g.tenant
    ) as f
    join identity as i on i.identity = f.holder and f.tenant <> all (i.tenants)
  ) as h
  group by h.schema, h.holder
)
select w.object, w.role, w.part, w.detail, w.remedy
from (
  select
    quote_ident(o.nspname) as object,
    i.app_name::text as role,
    i.identity_name::text as part,
    format('%s can become %s, and do all that tenant %s may.', i.app_name, i.identity_name, o.tenant) as detail,
    format('REVOKE %I FROM %I;', i.identity_name, i.app_name) as remedy
  from identity as i
  join tenant_schema as o on o.role_oid = i.identity and o.tenant <> all (i.tenants)
  where i.identity <> i.app
  union all
  select
    quote_ident(i.identity_name), i.app_name::text, '',
    case
      when i.identity <> i.app then
        format('%s can become %s, and read or write the tables of every tenant.', i.app_name, i.identity_name)
      else format('%s is a superuser: the tables of every tenant are open to it.', i.app_name)
    end,
    case
      when i.identity <> i.app then format('REVOKE %I FROM %I;', i.identity_name, i.app_name)
      else format('ALTER ROLE %I NOSUPERUSER;', i.app_name)
    end
  from identity as i
  join everything as e on e.oid = i.identity
  union all
  select distinct
    quote_ident(i.identity_name), i.app_name::text, 'owner',
    format('%s can become %s, which owns schemas or tables of other tenants.', i.app_name, i.identity_name),
    format('REVOKE %I FROM %I;', i.identity_name, i.app_name)
  from (select distinct f.holder, f.tenant from foreign_held as f where f.is_owner) as h
  join identity as i on i.identity = h.holder and i.identity <> i.app and h.tenant <> all (i.tenants)
  where h.holder not in (select r.role_oid from own_role as r)
  union all
  select
    case
      when h.classid = 'pg_class'::regclass then format('%I.%I', h.nspname, c.relname)
      when h.classid = 'pg_proc'::regclass then h.objid::regprocedure::text
      else quote_ident(h.nspname)
    end,
    g.rolname,
    case
      when h.is_owner then 'owner'
      when h.classid = 'pg_default_acl'::regclass then format('default privileges of %s on %s', f.defaclrole::regrole,
        f.defaclobjtype)
      else coalesce(a.attname, '')
    end,
    format(
      '%s %s %s, of tenant %s.',
      case
        when r.roles = 1 then r.names[1]::text
        when r.roles <= 3 then array_to_string(r.names, ', ') || ', as ' || g.rolname || ','
        else r.roles || ' roles of other tenants, as ' || g.rolname || ','
      end,
      case
        when h.is_owner then 'owns'
        when h.classid = 'pg_default_acl'::regclass then 'will be granted ' || p.privileges || ' on what is made in'
        else 'has ' || p.privileges || ' on'
      end,
      case
        when h.classid = 'pg_class'::regclass then
          coalesce('the column ' || quote_ident(a.attname) || ' of ', '') || format('%I.%I', h.nspname, c.relname)
        when h.classid = 'pg_proc'::regclass then h.objid::regprocedure::text
        else 'the schema ' || quote_ident(h.nspname)
      end,
      h.tenant
    ),
    case
      when h.is_owner then format('Give it to the owner of the other tables: ALTER … %s OWNER TO …;', case
        when h.classid = 'pg_class'::regclass then format('TABLE %I.%I', h.nspname, c.relname)
        when h.classid = 'pg_proc'::regclass then 'FUNCTION ' || h.objid::regprocedure
        else format('SCHEMA %I', h.nspname)
      end)
      when h.classid = 'pg_default_acl'::regclass then format(
        'ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %I REVOKE ALL ON %s FROM %I;', f.defaclrole::regrole,
        h.nspname, case f.defaclobjtype when 'S' then 'SEQUENCES' when 'f' then 'FUNCTIONS' when 'T' then 'TYPES'
          else 'TABLES' end, g.rolname)
      when h.classid = 'pg_class'::regclass then format('REVOKE ALL %s ON %s %I.%I FROM %I;',
        coalesce('(' || quote_ident(a.attname) || ')', ''), case c.relkind when 'S' then 'SEQUENCE' else 'TABLE' end,
        h.nspname, c.relname, g.rolname)
      when h.classid = 'pg_proc'::regclass then format('REVOKE ALL ON FUNCTION %s FROM %I;', h.objid::regprocedure,
        g.rolname)
      else format('REVOKE ALL ON SCHEMA %I FROM %I;', h.nspname, g.rolname)
    end
  from foreign_held as h
  join reach as r on r.schema = h.schema and r.holder = h.holder
  join pg_roles as g on g.oid = h.holder
  left join pg_class as c on h.classid = 'pg_class'::regclass and c.oid = h.objid
  left join pg_attribute as a on h.classid = 'pg_class'::regclass and a.attrelid = h.objid and a.attnum = h.objsubid
    and h.objsubid > 0
  left join pg_default_acl as f on h.classid = 'pg_default_acl'::regclass and f.oid = h.objid
  left join pg_proc as q on h.classid = 'pg_proc'::regclass and q.oid = h.objid
  cross join lateral (
    select string_agg(distinct x.privilege_type, ', ') as privileges
    from aclexplode(case
      when h.objsubid > 0 then a.attacl
      when h.classid = 'pg_class'::regclass then c.relacl
      when h.classid = 'pg_proc'::regclass then q.proacl
      when h.classid = 'pg_default_acl'::regclass then f.defaclacl
      else h.nspacl
    end) as x
    where x.grantee = h.holder
  ) as p
  where (r.is_inside or h.classid = 'pg_namespace'::regclass)
    and (not h.is_owner or h.holder in (select o.role_oid from own_role as o))
) as w
order by 1, 2, 3
