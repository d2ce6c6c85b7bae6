-- A function that names another tenant's schema in its body, or a function of no tenant that names one's.
--
-- With the rights of its definer it reads there for whoever may call it; with those of its caller it waits for a grant.
-- Bodies in BEGIN ATOMIC are known by what they depend on. Of all others only the text can be read: names with a dot
-- that the schema really has, a schema in a search_path, and one that a statement is put together with. What stands in
-- comments and messages, and functions that neither a tenant nor the application may call, are left out.
--
-- model: schema
-- severity: P1
-- heuristic: yes
-- uses: tenant_schema, tenant_user
with body as (
  select p.oid, l.lanname, s.tenant, p.prosrc
  from pg_proc as p
  join pg_language as l on l.oid = p.prolang and l.lanname not in ('c', 'internal')
  join pg_namespace as n on n.oid = p.pronamespace
  left join tenant_schema as s on s.oid = p.pronamespace
  where n.nspname not in ('pg_catalog', 'information_schema', 'monitoring')
),
-- Which bodies have such a name at all: by their words, which is far cheaper than patterns.
suspect as (
  select b.oid, b.tenant,
    case
      -- Texts of a statement, or names of objects.
      when b.lanname not in ('sql', 'plpgsql')
        or w.source ~* '\m(execute|format|reg[a-z]+|[a-z]+val|set_config|dblink\w*|\w+_to_xml\w*|search_path)\M'
        then regexp_replace(w.source, '\mraise\s+[a-z]*\s*''(?:[^'']|'''')*''', ' ', 'gi')
      else regexp_replace(w.source, '''(?:[^'']|'''')*''', ' ', 'g')
    end as source
  from body as b
  cross join lateral (
    -- Texts stay, comments go.
    select regexp_replace(
      b.prosrc, '(''(?:[^'']|'''')*'')|--[^\n]*|/\*(?:[^*]|\*+[^*/])*\*+/', '\1 ', 'g'
    ) as source
  ) as w
  where b.oid in (
    select w.oid
    from (
      select b.oid, b.tenant,
        unnest(string_to_array(translate(lower(b.prosrc), m.marks, repeat(' ', length(m.marks))), ' ')) as word
      from body as b
      cross join (select E' \t\r\n.,;:()[]{}"''=<>!+-*/%|&^~#@?\\`') as m (marks)
    ) as w
    join tenant_schema as o on lower(o.nspname) = w.word
    where o.tenant is distinct from w.tenant
    union all
    select b.oid
    from tenant_schema as o
    join body as b on strpos(b.prosrc, replace(o.nspname, '"', '""')) > 0 and o.tenant is distinct from b.tenant
    where o.nspname !~ '^[[:alpha:]_][[:alnum:]_$]*$'
  )
),
named as (
  select b.oid, o.oid as schema, '' as way
  from suspect as b
  cross join lateral regexp_matches(
    b.source,
    '(?:"((?:[^"]|"")+)"|([[:alpha:]_][[:alnum:]_$]*))\s*\.\s*'
    '(?:"((?:[^"]|"")+)"|([[:alpha:]_][[:alnum:]_$]*)|([''%]))',
    'g'
  ) as m (names)
  cross join lateral (
    select
      coalesce(replace(m.names[1], '""', '"'), lower(m.names[2])) as nspname,
      coalesce(replace(m.names[3], '""', '"'), lower(m.names[4])) as name
  ) as w
  join tenant_schema as o on o.nspname = w.nspname and o.tenant is distinct from b.tenant
  where m.names[5] is not null
    or exists (select from pg_class as c where c.relnamespace = o.oid and c.relname = w.name)
    or exists (select from pg_proc as p where p.pronamespace = o.oid and p.proname = w.name)
    or exists (select from pg_type as y where y.typnamespace = o.oid and y.typname = w.name)
  union
  select b.oid, o.oid, ' in a search_path'
  from suspect as b
  cross join lateral regexp_matches(b.source, 'search_path([^;]{1,250})', 'gi') as m (path)
  cross join lateral regexp_matches(m.path[1], '"((?:[^"]|"")+)"|([[:alpha:]_][[:alnum:]_$]*)', 'g') as w (names)
  join tenant_schema as o
    on o.nspname = coalesce(replace(w.names[1], '""', '"'), lower(w.names[2])) and o.tenant is distinct from b.tenant
  union
  select b.oid, o.oid, ' in a statement that it puts together'
  from suspect as b
  cross join lateral regexp_matches(b.source, '''([^''[:space:].]+)''', 'g') as m (names)
  join tenant_schema as o on m.names[1] in (o.nspname, quote_ident(o.nspname)) and o.tenant is distinct from b.tenant
  where b.source ~* '\m(execute|format|quote_ident)\M'
  union
  select b.oid, o.oid, ''
  from body as b
  join pg_depend as d on d.classid = 'pg_proc'::regclass and d.objid = b.oid and d.refclassid = 'pg_class'::regclass
  join pg_class as c on c.oid = d.refobjid
  join tenant_schema as o on o.oid = c.relnamespace and o.tenant is distinct from b.tenant
  union
  select b.oid, o.oid, ''
  from body as b
  join pg_depend as d on d.classid = 'pg_proc'::regclass and d.objid = b.oid and d.refclassid = 'pg_proc'::regclass
  join pg_proc as c on c.oid = d.refobjid
  join tenant_schema as o on o.oid = c.pronamespace and o.tenant is distinct from b.tenant
)
select
  p.oid::regprocedure::text as object,
  coalesce(s.role, '') as role,
  format(
    'Its body names %s%s, of %s, and runs with the rights of %s.',
    case
      when count(distinct o.oid) > 3 then count(distinct o.oid) || ' schemas'
      else 'the schema ' || string_agg(distinct quote_ident(o.nspname), ', ')
    end,
    min(w.way),
    case when count(distinct o.tenant) > 3 then count(distinct o.tenant) || ' tenants'
      else 'tenant ' || string_agg(distinct o.tenant, ', ')
    end,
    case when p.prosecdef then 'its owner, ' || p.proowner::regrole else 'whoever calls it' end
  ) as detail,
  format('DROP ROUTINE %s;  -- or make it anew with names of its own schema', p.oid::regprocedure) as remedy
from named as w
join pg_proc as p on p.oid = w.oid
join tenant_schema as o on o.oid = w.schema
left join tenant_schema as s on s.oid = p.pronamespace
where not exists (select from tenant_user)
  or exists (
    select from tenant_user as u
    where not u.is_superuser
      and o.tenant <> all (u.tenants)
      and has_schema_privilege(u.identity, p.pronamespace, 'USAGE')
      and has_function_privilege(u.identity, p.oid, 'EXECUTE')
  )
  or exists (select from pg_trigger as g where g.tgfoid = p.oid and not g.tgisinternal and g.tgenabled <> 'D')
group by p.oid, p.proowner, p.prosecdef, s.role
order by 1
