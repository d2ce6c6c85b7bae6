-- A foreign key into another tenant's schema.
--
-- An insert that fails or does not tells which rows the other tenant has; deleting them there is refused because of
-- rows here, or takes them along. A foreign key of a table that no tenant owns into a tenant's schema is one step less.
--
-- model: schema
-- severity: P0
-- uses: tenant_schema
select
  w.object,
  coalesce(w.role, '') as role,
  k.conname as part,
  case when w.tenant is null then 'P1' else 'P0' end as severity,
  format(
    '%s points into the schema of tenant %s: whoever may insert here learns which rows %s has, and a delete there is '
    'refused or takes rows along.',
    w.object, p.tenant, w.parent
  ) as detail,
  format('ALTER TABLE %s DROP CONSTRAINT %I;', w.object, k.conname) as remedy
from pg_constraint as k
join pg_class as b on b.oid = k.confrelid and b.relkind in ('r', 'p') and b.relnamespace <> k.connamespace
join tenant_schema as p on p.oid = b.relnamespace
join pg_class as c on c.oid = k.conrelid
join pg_namespace as n on n.oid = c.relnamespace
left join tenant_schema as s on s.oid = c.relnamespace
cross join lateral (
  select
    format('%I.%I', n.nspname, c.relname) as object,
    format('%I.%I', p.nspname, b.relname) as parent,
    s.role,
    s.tenant
) as w
where k.contype = 'f'
  and k.conparentid = 0
  and s.tenant is distinct from p.tenant
  and n.nspname <> 'monitoring'
order by 1, 3
