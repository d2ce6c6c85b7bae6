-- A way out of this database into another tenant's: foreign servers with user mappings, dblink, subscriptions.
--
-- Whoever may use it reads and changes the other tenant's rows with the rights of the role that is written there. What
-- only superusers and operators may use is none, unless a view of theirs hands it on. Servers that nobody has a user
-- mapping for are P1: one statement away. Functions and views that give dblink a connection string are told by their
-- text.
--
-- model: database
-- severity: P0
-- uses: tenancy, tenant_database
with operator as materialized (
  select r.oid
  from pg_roles as r
  cross join tenancy as t
  where r.rolsuper or r.rolname = t.own_role or r.rolname = any (t.admin_roles)
),
-- Of other hosts' databases only the name is known.
pattern as (
  select replace(t.database_pattern, '(?P<tenant>', '(') as text, t.tenant
  from tenancy as t
),
link as materialized (
  select
    s.oid,
    s.srvname,
    s.srvowner,
    s.srvacl,
    w.fdwname,
    o.dbname,
    o.host,
    o.service,
    coalesce(d.tenant, 'of ' || o.dbname) as tenant,
    case
      when o.dbname is null or o.dbname = current_database() then false
      when d.oid is not null then d.tenant is distinct from p.tenant
      when strpos(p.text, '(?') > 0 then false
      else o.dbname ~ p.text
    end as is_other
  from pg_foreign_server as s
  join pg_foreign_data_wrapper as w on w.oid = s.srvfdw
  cross join pattern as p
  cross join lateral (
    select
      min(x.option_value) filter (where x.option_name in ('dbname', 'database')) as dbname,
      min(x.option_value) filter (where x.option_name in ('host', 'hostaddr')) as host,
      min(x.option_value) filter (where x.option_name = 'service') as service
    from pg_options_to_table(s.srvoptions) as x
  ) as o
  left join tenant_database as d on d.datname = o.dbname
),
mapping as materialized (
  select
    l.oid as server,
    m.umuser,
    case when m.umuser = 0 then 'PUBLIC' else quote_ident(m.usename) end as name,
    m.umuser not in (select p.oid from operator as p) as is_usable
  from link as l
  join pg_user_mappings as m on m.srvid = l.oid
),
usage as materialized (
  select l.oid as server, x.grantee
  from link as l
  cross join lateral aclexplode(coalesce(l.srvacl, acldefault('S', l.srvowner))) as x
  where x.grantee not in (select p.oid from operator as p)
),
-- What an operator's own view reads, it reads with the operator's user mapping.
handed_on as (
  select distinct on (v.oid) v.oid, v.relname, v.relkind, n.nspname, l.oid as server
  from link as l
  join pg_foreign_table as f on f.ftserver = l.oid
  join pg_depend as d
    on d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = f.ftrelid
  join pg_rewrite as w on w.oid = d.objid
  join pg_class as v on v.oid = w.ev_class and v.relkind in ('v', 'm')
  join pg_namespace as n on n.oid = v.relnamespace
  join mapping as m on m.server = l.oid and m.umuser in (0, v.relowner)
  cross join lateral aclexplode(v.relacl) as x
  where l.is_other
    and x.privilege_type = 'SELECT' and x.grantee not in (select p.oid from operator as p)
    and not (
      v.relkind = 'v'
      and coalesce(v.reloptions && '{security_invoker=true,security_invoker=on,security_invoker=1}', false)
    )
),
dialled as (
  select
    f.oid,
    quote_ident(n.nspname) || '.' || quote_ident(f.proname) || '(' || pg_get_function_identity_arguments(f.oid) || ')'
      as object,
    'FUNCTION' as kind,
    coalesce(pg_get_function_sqlbody(f.oid), f.prosrc) as body
  from pg_proc as f
  join pg_namespace as n on n.oid = f.pronamespace
  cross join lateral aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) as x
  where (f.prosrc ~* 'dblink' or f.prosqlbody is not null)
    and f.prokind in ('f', 'p')
    and x.grantee not in (select p.oid from operator as p)
    and not exists (
      select from pg_depend as e where e.classid = 'pg_proc'::regclass and e.objid = f.oid and e.deptype = 'e'
    )
  union
  select v.oid, quote_ident(n.nspname) || '.' || quote_ident(v.relname), 'VIEW', pg_get_viewdef(v.oid)
  from pg_proc as f
  join pg_depend as d
    on d.refclassid = 'pg_proc'::regclass and d.refobjid = f.oid and d.classid = 'pg_rewrite'::regclass
  join pg_rewrite as w on w.oid = d.objid
  join pg_class as v on v.oid = w.ev_class and v.relkind in ('v', 'm')
  join pg_namespace as n on n.oid = v.relnamespace
  cross join lateral aclexplode(v.relacl) as x
  where f.proname ~ '^dblink' and x.privilege_type = 'SELECT' and x.grantee not in (select p.oid from operator as p)
),
-- Only a role that was granted its connection string may read it, and who names it without is refused the whole query:
-- ts_stat runs a query of its own, when it comes to that.
subscription as (
  select
    s.oid,
    s.subname,
    case
      when has_column_privilege('pg_subscription', 'subconninfo', 'SELECT') then (
        select x.word
        from ts_stat(
          format('select array_to_tsvector(array[subconninfo]) from pg_catalog.pg_subscription where oid = %s', s.oid)
        ) as x
      )
    end as body
  from pg_subscription as s
  join pg_database as d on d.oid = s.subdbid and d.datname = current_database()
)
select w.object, w.role, w.status, w.severity, w.detail, w.remedy, w.part
from (
  select
    quote_ident(l.srvname) as object,
    case when m.umuser = 0 then '' else m.name end as role,
    'fail' as status,
    'P0' as severity,
    format('%s has a user mapping for %I, which leads to %s, the database of the tenant %s%s.',
      m.name, l.srvname, l.dbname, l.tenant, ' on ' || l.host) as detail,
    format('DROP USER MAPPING FOR %s SERVER %I;', m.name, l.srvname) as remedy,
    'user mapping' as part
  from link as l
  join mapping as m on m.server = l.oid and m.is_usable
  where l.is_other
  union all
  select
    quote_ident(l.srvname),
    '',
    'fail',
    'P1',
    format('The server %I leads to %s, the database of the tenant %s%s: %s.',
      l.srvname, l.dbname, l.tenant, ' on ' || l.host,
      case
        when exists (select from usage as u where u.server = l.oid)
          then 'who has USAGE on it can make a user mapping and read what is there'
        else 'a user mapping is all that is missing'
      end),
    format('DROP SERVER %I CASCADE;', l.srvname),
    'server'
  from link as l
  where l.is_other
    and not exists (select from mapping as m where m.server = l.oid and m.is_usable)
    and (
      exists (select from usage as u where u.server = l.oid)
      or not exists (select from mapping as m where m.server = l.oid)
    )
  union all
  select
    quote_ident(h.nspname) || '.' || quote_ident(h.relname),
    '',
    'fail',
    'P0',
    format('%I.%I shows what its owner reads over the server %I in %s, the database of the tenant %s.',
      h.nspname, h.relname, l.srvname, l.dbname, l.tenant),
    format('DROP %s %I.%I;', case h.relkind when 'm' then 'MATERIALIZED VIEW' else 'VIEW' end, h.nspname, h.relname),
    l.srvname
  from handed_on as h
  join link as l on l.oid = h.server
  union all
  select
    quote_ident(l.srvname),
    '',
    'unknown',
    'P0',
    case
      when l.service is not null
        then format('%I names the service %s, which is in a file: where it leads cannot be seen.', l.srvname, l.service)
      else format('%I names no database: the user''s name in its user mappings, which are hidden, decides.', l.srvname)
    end,
    format('ALTER SERVER %I OPTIONS (%s);', l.srvname,
      case when l.service is not null then 'DROP service, ' else '' end || 'ADD dbname ''…'''),
    'database'
  from link as l
  where l.dbname is null
    and l.fdwname in ('postgres_fdw', 'dblink_fdw')
    and exists (select from mapping as m where m.server = l.oid and m.is_usable)
  union all
  select distinct on (f.object)
    f.object,
    '',
    'fail',
    'P0',
    format('By its text %s connects to %s, the database of the tenant %s, with dblink.', f.object, d.datname, d.tenant),
    format('DROP %s %s;', f.kind, f.object),
    d.datname
  from dialled as f
  join tenant_database as d on strpos(f.body, d.datname) > 0
  cross join pattern as p
  where f.body ~* 'dblink'
    and f.body ~* ('dbname\s*=\s*[''"]*' || regexp_replace(d.datname, '([^\w])', '\\\1', 'g') || '(\W|$)')
    and d.tenant is distinct from p.tenant
  union all
  select
    quote_ident(s.subname),
    '',
    case when s.body is null then 'unknown' else 'fail' end,
    'P0',
    case
      when s.body is null then format('Where the subscription %I takes its rows from cannot be seen.', s.subname)
      else format('The subscription %I takes rows out of %s, the database of the tenant %s.',
        s.subname, d.datname, d.tenant)
    end,
    case
      when s.body is null
        then format('GRANT SELECT (subconninfo) ON pg_subscription TO %I; but it may hold a password.', t.own_role)
      else format('DROP SUBSCRIPTION %I;', s.subname)
    end,
    'subscription'
  from subscription as s
  cross join tenancy as t
  left join tenant_database as d
    on s.body ~ ('dbname\s*=\s*\W*' || regexp_replace(d.datname, '([^\w])', '\\\1', 'g') || '(\W|$)')
    and d.tenant is distinct from t.tenant
  where s.body is null or d.oid is not null
) as w
