-- Tables that the probe may look at as the application's role, with their keys, as SQL writes them.
--
-- `kind` is pool for a table that tenants share, schema for one of a tenant's own schema.
--
-- uses: tenancy, tenant_table, tenant_schema
select
  'pool' as kind,
  t.object,
  quote_ident(t.key) as key,
  array(
    select quote_ident(a.attname)
    from pg_index as i
    cross join unnest(i.indkey::smallint[]) with ordinality as k (attnum, place)
    join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where i.indrelid = t.oid and i.indisprimary
    order by k.place
  ) as primary_key,
  t.reltuples::double precision as rows,
  '' as tenant
from tenant_table as t
where not t.relispartition
union all
select 'schema', quote_ident(s.nspname) || '.' || quote_ident(c.relname), '', '{}', c.reltuples, s.tenant
from tenant_schema as s
join pg_class as c on c.relnamespace = s.oid and c.relkind in ('r', 'p') and not c.relispartition
order by 1, 2
