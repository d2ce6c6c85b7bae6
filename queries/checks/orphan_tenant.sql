-- Rows of tenants that are not in the table of the tenants.
--
-- What a removed tenant leaves behind is read by whoever gets that key again, and is in no report. Where a validated
-- foreign key of the tenant key points at the tenants no row is read.
--
-- kind: data
-- model: column
-- severity: P1
-- uses: tenancy, tenant_root, tenant_directory, relation, walked_table, comparison
with equality as (
  select jsonb_object_agg(m.left_type || ' ' || m.right_type, m.equal) as forms from comparison as m
),
-- Foreign keys of the tenant key alone to the tenants.
kept as (
  select k.child, k.child_columns[1] as attnum, k.conname, k.is_validated and k.conoid <> all (array(
    select g.tgconstraint from pg_trigger as g where g.tgenabled = 'D' and g.tgconstraint <> 0
  )) as is_proof, k.is_validated
  from relation as k
  where k.parent = any (array(select d.oid from tenant_directory as d))
    and k.conoid <> 0 and cardinality(k.child_columns) = 1
)
select
  null as status,
  t.object,
  format('Rows of %s have a %I that %s does not have: whoever becomes that tenant reads them.',
    t.object, t.key, d.object) as detail,
  'Remove those rows or restore their tenant, then: ' || case
    when u.conname is not null then format('ALTER TABLE %s VALIDATE CONSTRAINT %I;', t.object, u.conname)
    when t.key_type <> d.pk_type
      then format('give %s.%I the type of %s.%I, and a foreign key.', t.object, t.key, d.object, d.pk)
    else format('ALTER TABLE %s ADD FOREIGN KEY (%I) REFERENCES %s (%I);', t.object, t.key, d.object, d.pk)
  end as remedy,
  t.oid as relation,
  format(
    'select count(*), array_agg(b.name) filter (where b.number <= 3) from ('
    'select %s as name, row_number() over () as number from %s as c '
    'where c.ctid >= ''@from@'' and c.ctid < ''@to@'' and c.%I is not null '
    'and not exists (select from %s as p where %s)) as b',
    w.row_name, w.rows, t.key, p.rows,
    format(e.forms ->> (d.pk_type || ' ' || t.key_type), 'p.' || quote_ident(d.pk), 'c.' || quote_ident(t.key))
  ) as sweep,
  jsonb_build_array(
    jsonb_build_object('relation', t.oid, 'columns', t.key::text || w.row_columns),
    jsonb_build_object('relation', d.oid, 'columns', array[d.pk])
  ) as needs
from tenant_root as t
join walked_table as w using (oid)
cross join tenant_directory as d
join walked_table as p on p.oid = d.oid
cross join equality as e
left join (
  select k.child, k.attnum, min(k.conname) as conname from kept as k where not k.is_validated group by k.child, k.attnum
) as u on u.child = t.oid and u.attnum = t.key_attnum
where d.pk is not null
  and (t.oid, t.key_attnum) not in (select k.child, k.attnum from kept as k where k.is_proof)
union all
-- The declared table of the tenants is not there, or has no such column.
select
  'unknown',
  c.tenants_table,
  format('Tenants cannot be listed: there is no %s.%I.', c.tenants_table, c.tenants_pk),
  'Mend [tenancy] key.tenants_table and key.tenants_pk.',
  null, null, null
from tenancy as c
where c.tenants_table is not null
  and not exists (select from tenant_directory as d where d.pk is not null)
order by 2
