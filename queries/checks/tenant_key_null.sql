-- Rows of tenant tables that name no tenant.
--
-- They are nobody's: a policy or query that lets NULL through shows them to every tenant, all others lose them. Where
-- the column is NOT NULL no row is read.
--
-- kind: data
-- model: column
-- severity: P1
-- uses: tenant_root, walked_table
select
  t.object,
  format('Rows of %s have no %I: they are no tenant''s, and whoever lets NULL through shows them to all.',
    t.object, t.key) as detail,
  format('Give those rows their tenant, then: ALTER TABLE %s ALTER COLUMN %I SET NOT NULL;', t.object, t.key) as remedy,
  t.oid as relation,
  format(
    'select count(*), array_agg(b.name) filter (where b.number <= 3) from ('
    'select %s as name, row_number() over () as number from %s as c '
    'where c.ctid >= ''@from@'' and c.ctid < ''@to@'' and c.%I is null) as b',
    w.row_name, w.rows, t.key
  ) as sweep,
  jsonb_build_array(jsonb_build_object('relation', t.oid, 'columns', t.key::text || w.row_columns)) as needs
from tenant_root as t
join walked_table as w using (oid)
where not t.is_key_not_null
  -- 18 marks the column already by a constraint that was never validated.
  or exists (
    select from pg_constraint as n
    where n.conrelid = t.oid and n.contype = 'n' and not n.convalidated and n.conkey = array[t.key_attnum]
  )
order by 1
