-- A tenant table whose key may be NULL: a row of nobody.
--
-- A row without a tenant slips through: foreign keys that carry the key are not held to it, unique constraints take it
-- twice, and whatever lets NULL pass (`IS NULL OR`, outer joins) shows it to every tenant. A checked constraint or a
-- domain that refuses NULL does as well as NOT NULL.
--
-- model: column
-- severity: P2
-- uses: tenant_root
select
  t.object,
  '' as role,
  case
    when n.conname is not null then format(
      'NOT NULL of %I is not validated: older rows of %s may be of no tenant, and no tenant''s rules hold for them.',
      t.key, t.object
    )
    else format(
      '%I may be NULL: a tenant can leave rows in %s that are nobody''s, to which no key that carries it is held.',
      t.key, t.object
    )
  end as detail,
  case
    when n.conname is not null then format('ALTER TABLE %s VALIDATE CONSTRAINT %I;', t.object, n.conname)
    else format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL;', t.object, t.key)
  end as remedy,
  t.key as part
from tenant_root as t
-- From 18 on a NOT NULL is a constraint, which need not hold for the rows that are there.
left join pg_constraint as n
  on n.conrelid = t.oid and n.contype = 'n' and n.conkey = array[t.key_attnum] and not n.convalidated
where (not t.is_key_not_null or n.conname is not null)
  and not exists (
    select from pg_type as y
    where y.oid = t.key_type and y.typtype = 'd' and y.typnotnull
  )
  and not exists (
    select from pg_constraint as k
    where k.conrelid = t.oid and k.contype = 'c' and k.convalidated and k.conkey @> array[t.key_attnum]
      and coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
      and pg_get_expr(k.conbin, k.conrelid)
        ~ ('\(' || regexp_replace(quote_ident(t.key), '([^\w])', '\\\1', 'g') || ' IS NOT NULL\)( AND |\)*$)')
      and pg_get_expr(k.conbin, k.conrelid) !~ ' OR |CASE |NOT \('
  )
