-- A unique constraint or index of a tenant table that holds across tenants.
--
-- One tenant cannot take a name, an address or a number that another has, and learns from the error that somebody has
-- it. Surrogates tell nothing: identity and serial columns, UUIDs, random defaults, an `id` that is the primary key,
-- digests and tokens that cannot be guessed, and what points at one row of a tenant table.
--
-- model: column
-- severity: P3
-- uses: tenant_table, tenant_root, relation
with bare as materialized (
  select t.oid, t.object, t.key, i.indexrelid, i.indisprimary, i.indnkeyatts, i.indkey::int2[] as attnums
  from tenant_root as t
  join pg_index as i on i.indrelid = t.oid and i.indisunique and i.indislive
  where t.key_attnum <> all ((i.indkey::int2[])[0:i.indnkeyatts - 1])
),
candidate as (
  select b.oid, b.indexrelid, b.indisprimary, b.indnkeyatts, c.attnum
  from bare as b
  cross join lateral unnest(b.attnums) with ordinality as c (attnum, place)
  where c.place <= b.indnkeyatts
),
surrogate as (
  select distinct c.indexrelid
  from candidate as c
  join pg_attribute as a on a.attrelid = c.oid and a.attnum = c.attnum
  join pg_type as y on y.oid = a.atttypid
  left join pg_attrdef as d on d.adrelid = c.oid and d.adnum = c.attnum
  where a.attidentity <> ''
    or coalesce(nullif(y.typbasetype, 0), y.oid) in ('uuid'::regtype, 'bytea'::regtype)
    or (
      a.attgenerated = '' and pg_get_expr(d.adbin, d.adrelid) ~* '\mnextval\(|random|uuid|ulid|nanoid|cuid'
    )
    -- The application makes these itself.
    or (c.indisprimary and a.attname ~* case c.indnkeyatts
      when 1 then '(^|_)(id|uid|uuid|guid|ulid|pk)$'
      else '^(id|uid|uuid|guid|ulid|pk)$'
    end)
    or a.attname ~* '(^|_)(hash|digest|token|secret|nonce)$'
    or exists (
      select
      from relation as r
      join tenant_table as p on p.oid = r.parent
      where r.child = c.oid and r.conoid <> 0 and r.child_columns = array[c.attnum]
    )
)
select
  t.object,
  '' as role,
  format(
    'What one tenant has in %s (%s) no other can have: the error tells a tenant that another has it.',
    t.object, w.columns
  ) as detail,
  case
    when k.oid is not null then format(
      'ALTER TABLE %s DROP CONSTRAINT %I, ADD %s (%I, %s);',
      t.object, k.conname, case k.contype when 'p' then 'PRIMARY KEY' else 'UNIQUE' end, t.key, w.columns
    )
    else format(
      'CREATE UNIQUE INDEX ON %s (%I, %s)%s; DROP INDEX %I.%I;',
      t.object, t.key, w.columns, ' WHERE ' || pg_get_expr(i.indpred, i.indrelid), n.nspname, x.relname
    )
  end as remedy,
  x.relname as part
from bare as t
join pg_index as i on i.indexrelid = t.indexrelid
join pg_class as x on x.oid = t.indexrelid
join pg_namespace as n on n.oid = x.relnamespace
left join pg_constraint as k on k.conindid = t.indexrelid and k.contype in ('p', 'u') and k.conrelid = i.indrelid
cross join lateral (
  select string_agg(pg_get_indexdef(t.indexrelid, s.place, false), ', ' order by s.place) as columns
  from generate_series(1, i.indnkeyatts) as s (place)
) as w
where t.indexrelid not in (select s.indexrelid from surrogate as s)
  -- The key within an expression, or one tenant's rows alone.
  and coalesce(pg_get_expr(i.indexprs, i.indrelid) !~ ('(^|\W)' || quote_ident(t.key) || '(\W|$)'), true)
  and coalesce(pg_get_expr(i.indpred, i.indrelid) !~ ('(^|\W)' || quote_ident(t.key) || ' (= |IS NULL)'), true)
