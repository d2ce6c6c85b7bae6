-- A table that only grows, of which the application may change or remove rows.
--
-- Nothing guards it: no trigger that refuses, no rule that does nothing instead, no row level security without a policy
-- for that command. A trigger that is switched off guards nothing, and somebody switched it off. Whether a trigger
-- refuses is told by its function's text: it raises an error, or returns NULL before the row is written.
--
-- model: all
-- severity: P2
-- heuristic: yes
-- uses: tenancy, audit_table, app_identity
with act (bit, privilege, command, rule, verb) as (
  values (16, 'UPDATE', 'w', '2', 'change rows'), (8, 'DELETE', 'd', '4', 'remove rows'),
    (32, 'TRUNCATE', '', '', 'remove all rows')
),
guard as materialized (
  select g.tgrelid, g.tgname, g.tgtype, g.tgenabled in ('O', 'A') as is_enabled, g.tgattr = '' as is_of_all_columns
  from audit_table as a
  join pg_trigger as g on g.tgrelid = a.oid and (not g.tgisinternal or g.tgparentid <> 0)
  join pg_proc as p on p.oid = g.tgfoid
  join pg_language as l on l.oid = p.prolang
  cross join lateral (
    select regexp_replace(p.prosrc, '--[^\n]*|/\*.*?\*/', '', 'g') as body
  ) as s
  where case
    when l.lanname = 'plpgsql' then
      s.body ~* '\mraise\M(?!\s+(debug|log|info|notice|warning)\M)'
      or s.body ~* '\mreturn\s+null\M' and g.tgtype::integer & 3 = 3
    else p.pronamespace <> 'pg_catalog'::regnamespace
  end
),
-- Who gets into the schema at all: few of many roles.
reached as materialized (
  select a.oid, i.app, i.app_name, i.identity, i.is_exempt
  from audit_table as a
  join app_identity as i on has_schema_privilege(i.identity, a.relnamespace, 'USAGE')
),
possible as (
  select
    a.oid, a.object, a.relacl, i.app, i.app_name, c.bit, c.privilege, c.verb,
    array_agg(i.identity) as identities
  from reached as i
  join audit_table as a on a.oid = i.oid
  cross join act as c
  where (
      has_table_privilege(i.identity, a.oid, c.privilege)
      or c.privilege = 'UPDATE' and has_any_column_privilege(i.identity, a.oid, 'UPDATE')
    )
    -- Row level security without a policy for the command lets no row through; TRUNCATE does not ask it.
    and (
      c.command = ''
      or not a.relrowsecurity
      or i.is_exempt
      or pg_has_role(i.identity, a.relowner, 'USAGE') and not a.relforcerowsecurity
      or exists (
        select
        from pg_policy as p
        where p.polrelid = a.oid
          and p.polpermissive
          and p.polcmd in ('*', c.command)
          and coalesce(pg_get_expr(p.polqual, p.polrelid), 'false') <> 'false'
          and exists (
            select from unnest(p.polroles) as r (oid) where r.oid = 0 or pg_has_role(i.identity, r.oid, 'USAGE')
          )
      )
    )
    and not exists (
      select
      from pg_rewrite as w
      where w.ev_class = a.oid and w.ev_type = c.rule and w.is_instead and w.ev_enabled in ('O', 'A')
        and w.ev_qual::text = '<>'
    )
  group by a.oid, a.object, a.relacl, i.app, i.app_name, c.bit, c.privilege, c.verb
),
-- A trigger of some columns leaves the others.
unguarded as (
  select p.*
  from possible as p
  where not exists (
    select from guard as g
    where g.tgrelid = p.oid and g.tgtype::integer & p.bit <> 0 and (g.is_of_all_columns or p.bit <> 16)
  )
),
granted as (
  select u.oid, u.app, string_agg(distinct x.grantee, ', ') as grantees
  from unguarded as u
  cross join lateral (
    select case when e.grantee = 0 then 'PUBLIC' else e.grantee::regrole::text end as grantee
    from aclexplode(u.relacl) as e
    where e.privilege_type = u.privilege and (e.grantee = 0 or e.grantee = any (u.identities))
  ) as x
  group by u.oid, u.app
)
select
  u.object,
  u.app_name as role,
  'P2' as severity,
  format('%s may %s of %s, which only grows: it can cover up what it did.', u.app_name,
    string_agg(u.verb, ' and ' order by u.bit), u.object) as detail,
  coalesce(
    format('REVOKE %s ON %s FROM %s;', string_agg(u.privilege, ', ' order by u.bit), u.object, min(g.grantees)),
    format('CREATE a trigger BEFORE %s ON %s that raises an error.', string_agg(u.privilege, ' OR ' order by u.bit),
      u.object)
  ) as remedy,
  '' as part
from unguarded as u
left join granted as g on g.oid = u.oid and g.app = u.app
group by u.object, u.app_name
union all
select
  a.object,
  '',
  'P1',
  format('The trigger %I of %s, which refuses to change what only grows, is switched off.', g.tgname, a.object),
  format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I;', a.object, g.tgname),
  g.tgname::text
from guard as g
join audit_table as a on a.oid = g.tgrelid
where not g.is_enabled
  -- Another one may do its work.
  and exists (
    select from act as c
    where g.tgtype::integer & c.bit <> 0
      and not exists (
        select from guard as o
        where o.tgrelid = g.tgrelid and o.is_enabled and o.tgtype::integer & c.bit <> 0
          and (o.is_of_all_columns or c.bit <> 16)
      )
  )
