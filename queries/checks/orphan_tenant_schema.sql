-- A tenant's schema that no tenant has any more.
--
-- What is left in it is nobody's to guard: grants, copies and backups of it go on. The tenants are those of the table
-- that [tenancy] names, by any of its columns; without SELECT on them nothing can be told. Where no table is named, a
-- schema is left over whose role is gone, or that has none of the tables that most tenants have.
--
-- model: schema
-- severity: P2
-- uses: tenancy, tenant_schema, tenant_relation, usual_relation, pool_relation
with register as (
  select c.object, row_security_active(c.oid) as is_filtered, a.columns, w.names
  from tenancy as t
  join pool_relation as c on c.is_tenants_table
  cross join lateral (
    -- What a name can be written in; only columns that may be read.
    select string_agg(format('t.%I::text', x.attname), ', ' order by x.attnum) as columns
    from pg_attribute as x
    join pg_type as y on y.oid = x.atttypid
    where x.attrelid = c.oid
      and x.attnum > 0
      and not x.attisdropped
      and (y.typcategory = 'S' or y.typname in ('uuid', 'int2', 'int4', 'int8', 'citext'))
      and has_schema_privilege(c.relnamespace, 'USAGE')
      and has_column_privilege(c.oid, x.attnum, 'SELECT')
  ) as a
  cross join lateral (
    -- What schemas may be named by: the key, and unique names.
    select string_agg(quote_ident(x.attname), ', ' order by x.attname) as names
    from pg_attribute as x
    join pg_type as y on y.oid = x.atttypid
    where x.attrelid = c.oid
      and x.attnum > 0
      and not x.attisdropped
      and (
        x.attname = t.tenants_pk
        or (
          (y.typcategory = 'S' or y.typname = 'citext')
          and exists (
            select from pg_index as i
            where i.indrelid = c.oid and i.indisunique and i.indnkeyatts = 1 and i.indkey[0] = x.attnum
          )
        )
      )
  ) as w
),
-- Both sides in small letters and digits alone: acme-corp is the tenant of t_acme_corp.
name as (
  select s.oid, s.nspname, s.tenant, s.role, s.role_oid,
    regexp_replace(lower(s.tenant), '[^[:alnum:]]', '', 'g') as short,
    regexp_replace(lower(s.nspname), '[^[:alnum:]]', '', 'g') as whole
  from tenant_schema as s
),
listed as (
  select n.oid, r.object
  from register as r
  -- A table whose name is only known now can be read by a query that is given as a text; this one gives words.
  cross join lateral ts_stat(
    format(
      'select array_to_tsvector(array_agg(distinct w.name)) from (select regexp_replace(lower(v.name), '
      '''[^[:alnum:]]'', '''', ''g'') as name from %s as t cross join unnest(array[%s]) as v (name)) as w '
      'where w.name <> '''' and w.name = any (%L::text[])',
      r.object, r.columns, (select array_agg(n.short) || array_agg(n.whole) from name as n)
    )
  ) as a
  join name as n on a.word in (n.short, n.whole)
  where not r.is_filtered and r.columns is not null
),
role_missing as (
  select n.oid
  from name as n
  where n.role is not null and n.role_oid is null and exists (select from name as o where o.role_oid is not null)
),
empty as (
  select n.oid
  from name as n
  where exists (select from usual_relation)
    and not exists (
      select from tenant_relation as r
      where r.schema = n.oid and r.relname in (select u.relname from usual_relation as u)
    )
)
select w.status, w.object, w.role, w.part, w.detail, w.remedy
from (
  select
    'fail' as status,
    quote_ident(n.nspname) as object,
    coalesce(n.role, '') as role,
    '' as part,
    case
      when exists (select from listed) then
        format('%s has no tenant %s: the schema %I is left over.', (select l.object from listed as l limit 1), n.tenant,
          n.nspname)
      when n.oid in (select m.oid from role_missing as m) then
        format('There is no role %I, and tenants have one: the schema %I is left over.', n.role, n.nspname)
      else format('%I has none of the tables that the other tenants have: it is left over, or was never filled.',
        n.nspname)
    end as detail,
    format('DROP SCHEMA %I CASCADE;  -- once its data is kept elsewhere', n.nspname) as remedy
  from name as n
  where case
    when exists (select from listed) then n.oid not in (select l.oid from listed as l)
    else n.oid in (select m.oid from role_missing as m union all select e.oid from empty as e)
  end
  union all
  select
    'unknown',
    r.object,
    '',
    'tenants',
    case
      when r.is_filtered then
        format('Row level security hides rows of %s: tenants that are gone cannot be told.', r.object)
      when r.columns is null then
        format('%s cannot be read: schemas whose tenant is gone cannot be told from others.', r.object)
      else format('No column of %s that can be read names any tenant''s schema: tenants that are gone cannot be told.',
        r.object)
    end,
    case
      when r.is_filtered then format('A policy that lets %I read all rows of it.', t.own_role)
      else format(
        'GRANT USAGE ON SCHEMA %s TO %I; GRANT SELECT (%s) ON %s TO %I;  -- the column that the schemas are named by',
        split_part(r.object, '.', 1), t.own_role, coalesce(r.names, quote_ident(t.tenants_pk)), r.object, t.own_role
      )
    end
  from tenancy as t
  cross join register as r
  where exists (select from name) and not exists (select from listed)
) as w
order by 2, 4
