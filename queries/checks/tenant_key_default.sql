-- A tenant table whose key has a default that is not asked of the context.
--
-- A statement that forgets the key does not fail: its row becomes that tenant's, who then sees what is another's. A
-- default that reads the context setting, the role or a function that is not immutable is the asking tenant's own.
--
-- model: column
-- severity: P2
-- uses: tenant_root
select
  d.object,
  '' as role,
  case
    when d.attidentity <> '' then format(
      'A row that forgets %I gets a new number: a row of %s is then of a tenant that there is not, or of a later one.',
      d.key, d.object
    )
    when d.is_context then format(
      'Without a context the default of %I is %s: a row of %s that forgets its tenant becomes another''s.',
      d.key, d.expression, d.object
    )
    else format(
      '%I defaults to %s: a row of %s that forgets its tenant becomes that one''s, who can read it.',
      d.key, d.expression, d.object
    )
  end as detail,
  case
    when d.attidentity <> '' then format('ALTER TABLE %s ALTER COLUMN %I DROP IDENTITY;', d.object, d.key)
    when d.is_domain then format('ALTER DOMAIN %s DROP DEFAULT;', d.domain)
    else format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT;', d.object, d.key)
  end as remedy,
  d.key as part
from (
  select
    t.object,
    t.key,
    a.attidentity,
    x.oid is null and a.attidentity = '' as is_domain,
    format_type(t.key_type, null) as domain,
    x.oid as default_oid,
    e.expression,
    e.expression ~* '\mcurrent_setting\(|\m(current_user|session_user|user|current_role)\M' as is_context
  from tenant_root as t
  join pg_attribute as a on a.attrelid = t.oid and a.attnum = t.key_attnum and a.attgenerated = ''
  join pg_type as y on y.oid = t.key_type
  left join pg_attrdef as x on x.adrelid = t.oid and x.adnum = t.key_attnum
  cross join lateral (select coalesce(pg_get_expr(x.adbin, x.adrelid), y.typdefault)) as e (expression)
  where (x.oid is not null or a.attidentity <> '' or (y.typtype = 'd' and y.typdefault is not null))
) as d
where case
  when d.attidentity <> '' then true
  -- What COALESCE falls back to is a tenant again, unless it falls back to nothing.
  when d.is_context then d.expression ~* '\mcoalesce\(' and d.expression !~* ', NULL(::[\w ."]+)?\)+(::[\w ."]+)?$'
  else not exists (
    select
    from pg_depend as k
    join pg_proc as f on f.oid = k.refobjid and f.provolatile <> 'i'
    where k.classid = 'pg_attrdef'::regclass and k.objid = d.default_oid
      and k.refclassid = 'pg_proc'::regclass
      and not exists (
        select from pg_depend as e
        where e.classid = 'pg_proc'::regclass and e.objid = f.oid and e.deptype = 'e'
      )
  )
end
