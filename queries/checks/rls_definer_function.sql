-- A SECURITY DEFINER function that the application may call, of an owner whom row level security does not bind.
--
-- What such a function does it does as its owner. It reads or writes every tenant's rows where it names a table of
-- theirs (P0), and may do so where its statements are put together at run time or cannot be read (P1). Everybody may
-- call a function unless that was revoked; trigger functions cannot be called. The text of a body is read with its
-- comments left out, and so are the functions that it calls; a body in BEGIN ATOMIC has dependencies instead. One that
-- compares the key with the context in each of its statements keeps tenants apart.
--
-- model: rls
-- severity: P0
-- uses: tenancy, guarded_relation, view_source, tenant_view, tenant_filter, app_identity
with recursive owner as (
  -- Whom row level security does not bind, at least on the tables of one owner.
  select o.oid, o.rolname, o.rolsuper or o.rolbypassrls as is_exempt,
    case
      when o.rolsuper then 'a superuser'
      when o.rolbypassrls then 'with BYPASSRLS'
      else 'the owner of tables without FORCE'
    end as why
  from pg_roles as o
  where o.oid in (select p.proowner from pg_proc as p where p.prosecdef and p.oid >= 16384)
    and exists (
      select from (select distinct g.relowner, g.relforcerowsecurity from guarded_relation as g) as g
      where o.rolsuper or o.rolbypassrls or not g.relforcerowsecurity and pg_has_role(o.oid, g.relowner, 'USAGE')
    )
),
definer as (
  select p.oid, p.pronamespace, p.proowner, l.lanname, p.prosqlbody is not null as is_parsed,
    regexp_replace(regexp_replace(coalesce(pg_get_function_sqlbody(p.oid), p.prosrc), '--[^\n]*', ' ', 'g'),
      '/[*].*?[*]/', ' ', 'g') as body
  from pg_proc as p
  join pg_namespace as n on n.oid = p.pronamespace
  join pg_language as l on l.oid = p.prolang
  where p.prosecdef
    and p.oid >= 16384 -- the first OID that is none of initdb's
    and n.nspname !~ '^pg_' and n.nspname <> 'monitoring'
    and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
    and p.proowner in (select o.oid from owner as o)
    and not exists (
      select from pg_depend as d
      where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
    )
),
callable as (
  select d.oid, i.app_name
  from definer as d
  join app_identity as i on has_schema_privilege(i.identity, d.pronamespace, 'USAGE')
    and has_function_privilege(i.identity, d.oid, 'EXECUTE')
  where not i.is_exempt
  group by 1, 2
),
-- What can be named: relations with tenants' rows, and the views that show them, with the relations beneath.
beneath as (
  select v.oid as named, s.source as oid from tenant_view as v join view_source as s on s.view = v.oid
  union
  select b.named, s.source from beneath as b join view_source as s on s.view = b.oid
),
nameable as (
  select g.oid, g.nspname::text as nspname, g.relname::text as relname, g.object, g.relowner, g.relforcerowsecurity
  from guarded_relation as g
  union all
  select v.oid, v.nspname::text, v.relname::text, v.object, g.relowner, g.relforcerowsecurity
  from tenant_view as v
  join beneath as b on b.named = v.oid
  join guarded_relation as g on g.oid = b.oid
),
-- Names in the text, quoted or not, with their schemas.
word as (
  select d.oid as function, d.oid as reader, w.schema, w.name, w.is_call
  from definer as d
  cross join lateral (
    select
      case when m.found[1] like '"%' then btrim(m.found[1], '"') else lower(m.found[1]) end as schema,
      case when m.found[2] like '"%' then btrim(m.found[2], '"') else lower(m.found[2]) end as name,
      m.found[3] <> '' as is_call
    from regexp_matches(d.body, '(?:("[^"]+"|[[:alpha:]_][\w$]*)\s*\.\s*)?("[^"]+"|[[:alpha:]_][\w$]*)(\s*\()?', 'g')
      as m (found)
  ) as w
  where d.oid in (select c.oid from callable as c) and not d.is_parsed
),
callee as (
  select distinct w.function, p.oid
  from word as w
  join pg_proc as p on p.proname = w.name and p.oid >= 16384 and p.oid <> w.function
  join pg_namespace as n on n.oid = p.pronamespace and (w.schema is null or n.nspname = w.schema)
  where w.is_call
  union
  select d.oid, k.refobjid
  from definer as d
  join pg_depend as k on k.classid = 'pg_proc'::regclass and k.objid = d.oid
    and k.refclassid = 'pg_proc'::regclass and k.refobjid >= 16384
  where d.is_parsed
),
called_word as (
  select c.function, c.oid as reader,
    case when m.found[1] like '"%' then btrim(m.found[1], '"') else lower(m.found[1]) end as schema,
    case when m.found[2] like '"%' then btrim(m.found[2], '"') else lower(m.found[2]) end as name
  from callee as c
  join pg_proc as p on p.oid = c.oid and not p.prosecdef
  cross join lateral regexp_matches(
    regexp_replace(regexp_replace(p.prosrc, '--[^\n]*', ' ', 'g'), '/[*].*?[*]/', ' ', 'g'),
    '(?:("[^"]+"|[[:alpha:]_][\w$]*)\s*\.\s*)?("[^"]+"|[[:alpha:]_][\w$]*)', 'g'
  ) as m (found)
),
touched as (
  select w.function, w.reader, n.object, n.relname, n.relowner, n.relforcerowsecurity
  from (
    select w.function, w.reader, w.schema, w.name from word as w
    union
    select w.function, w.reader, w.schema, w.name from called_word as w
  ) as w
  join nameable as n on n.relname = w.name and (w.schema is null or w.schema = n.nspname)
  union
  select c.function, c.oid, n.object, n.relname, n.relowner, n.relforcerowsecurity
  from (
    select d.oid as function, d.oid from definer as d where d.is_parsed
    union
    select c.function, c.oid from callee as c
  ) as c
  join pg_depend as k on k.classid = 'pg_proc'::regclass and k.objid = c.oid and k.refclassid = 'pg_class'::regclass
  join nameable as n on n.oid = k.refobjid
),
leak as (
  select t.function, string_agg(distinct t.object, ', ') as objects,
    string_agg(distinct '"?' || t.relname || '"?', '|') filter (where t.relname ~ '^\w+$') as names,
    bool_and(t.reader = t.function) as is_own_text,
    min(o.why) as why
  from touched as t
  join definer as d on d.oid = t.function
  join owner as o on o.oid = d.proowner
  where o.is_exempt or not t.relforcerowsecurity and pg_has_role(o.oid, t.relowner, 'USAGE')
  group by t.function
),
context as materialized (
  select f.reads_context, f.pattern, f.opening, coalesce(t.setting, 'context') as setting
  from tenant_filter as f
  cross join tenancy as t
),
-- Statements that read or change rows of theirs, and those that compare the key with the context.
filtered as (
  select l.function
  from leak as l
  join definer as d on d.oid = l.function
  cross join context as f
  -- Variables that hold the context stand for it.
  cross join lateral (
    select string_agg(distinct coalesce(m.found[1], m.found[2]), '|') as names
    from regexp_matches(
      d.body,
      '\m(\w+)(?:\s+constant)?(?:\s+[\w.]+)?\s*(?::=|\mdefault\M)[(\s]*(?:nullif[(\s]*)?' || f.reads_context
        || '|' || f.reads_context || '[^;]*?\minto\s+(?:strict\s+)?(\w+)', 'gi'
    ) as m (found)
  ) as v
  cross join lateral (
    select coalesce(
      regexp_replace(
        d.body, '\m(?:' || v.names || ')\M(?!\s*(?::=|\.))', 'current_setting(''' || f.setting || ''')', 'gi'
      ), d.body
    ) as text
  ) as b
  where l.is_own_text
    and l.names is not null
    and d.body ~* f.reads_context
    and b.text !~* f.opening
    and (select count(*) from regexp_matches(b.text, f.pattern, 'gi')) >= (
      select count(*)
      from regexp_matches(d.body, '\m(?:from|update)\s+(?:only\s+)?(?:[\w"]+\.)?(?:' || l.names || ')(?!\w)', 'gi')
    )
)
select
  d.oid::regprocedure::text as object,
  c.app_name as role,
  case when l.function is null then 'P1' else 'P0' end as severity,
  case
    when l.function is null then format(
      '%s may call it, and it works as %s, %s: which tables it reads cannot be told%s.', c.app_name,
      quote_ident(o.rolname), o.why,
      case when d.lanname in ('sql', 'plpgsql') then ', as it puts statements together at run time' else '' end)
    else format('%s may call it, and as %s, %s, it reads or writes rows of every tenant in %s%s.', c.app_name,
      quote_ident(o.rolname), l.why, l.objects,
      case when d.is_parsed then '' else ' (by its text, which is a heuristic)' end)
  end as detail,
  format('ALTER ROUTINE %1$s SECURITY INVOKER; -- or give it an owner that row level security binds, or REVOKE EXECUTE '
    'ON ROUTINE %1$s FROM PUBLIC, %2$I;', d.oid::regprocedure, c.app_name) as remedy
from callable as c
join definer as d using (oid)
join owner as o on o.oid = d.proowner
left join leak as l on l.function = d.oid
where d.oid not in (select f.function from filtered as f)
  and (
    l.function is not null
    or d.lanname not in ('sql', 'plpgsql')
    or d.lanname = 'plpgsql' and d.body ~* '\mexecute\s+(?!on\M|function\M|procedure\M)'
  )
order by 1, 2
