-- A privilege on a tenant table, or on its schema, that row level security does not limit.
--
-- TRUNCATE removes the rows of all tenants, a trigger of one's own is run with every row that anybody writes, a foreign
-- key tells whether a key exists at another tenant, and an object of one's own in the tables' schema can take the place
-- of one that other statements mean.
--
-- model: rls
-- severity: P1
-- uses: guarded_relation, app_identity
with identity as (
  select i.app, i.app_name, i.identity from app_identity as i
  union all
  select distinct i.app, i.app_name, 0::oid from app_identity as i
),
-- Few columns have privileges of their own: they are looked for first.
column_acl as materialized (
  select a.attrelid, a.attname, a.attacl from pg_attribute as a where a.attacl is not null and not a.attisdropped
),
granted as (
  select g.oid, x.grantee, x.privilege_type as privilege, '' as columns
  from guarded_relation as g
  cross join lateral aclexplode(g.relacl) as x
  where x.privilege_type in ('TRUNCATE', 'TRIGGER', 'REFERENCES') and x.grantee <> g.relowner
  union all
  select g.oid, x.grantee, x.privilege_type, format(' (%s)', string_agg(quote_ident(a.attname), ', '))
  from guarded_relation as g
  join column_acl as a on a.attrelid = g.oid
  cross join lateral aclexplode(a.attacl) as x
  where x.privilege_type = 'REFERENCES' and x.grantee <> g.relowner
  group by 1, 2, 3
)
select
  g.object,
  i.app_name as role,
  format('%s may %s %s.', i.app_name, string_agg(distinct case p.privilege
    when 'TRUNCATE' then 'remove the rows of every tenant of'
    when 'TRIGGER' then 'put a trigger that sees each written row on'
    else 'ask by a foreign key which keys other tenants have in'
  end, ', and '), g.object) as detail,
  string_agg(distinct format('REVOKE %s%s ON %s FROM %s;', p.privilege, p.columns, g.object,
    case when p.grantee = 0 then 'PUBLIC' else p.grantee::regrole::text end), ' ') as remedy
from granted as p
join guarded_relation as g using (oid)
join identity as i on i.identity = p.grantee
where has_schema_privilege(i.app, g.relnamespace, 'USAGE')
  or exists (
    select from app_identity as a where a.app = i.app and has_schema_privilege(a.identity, g.relnamespace, 'USAGE')
  )
group by g.object, i.app_name
union all
select
  quote_ident(n.nspname),
  i.app_name,
  format('%s may create objects in %s, among the tables of all tenants: a function or table of that name takes the '
    'place of the one that other statements mean.', i.app_name, quote_ident(n.nspname)),
  string_agg(distinct case when x.grantee = n.nspowner
    then format('ALTER SCHEMA %s OWNER TO the owner of its tables;', quote_ident(n.nspname))
    else format('REVOKE CREATE ON SCHEMA %s FROM %s;', quote_ident(n.nspname),
      case when x.grantee = 0 then 'PUBLIC' else x.grantee::regrole::text end)
  end, ' ')
from (
  select g.relnamespace, array_agg(distinct g.relowner) as owners from guarded_relation as g group by 1
) as s
join pg_namespace as n on n.oid = s.relnamespace
cross join lateral aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) as x
join identity as i on i.identity = x.grantee
-- Who owns the tables as well can do more than that, and other checks say so.
where x.privilege_type = 'CREATE' and x.grantee <> all (s.owners)
group by n.nspname, i.app_name
order by 1, 2
