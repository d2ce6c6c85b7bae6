-- Tables, views, materialized views and foreign tables of tenants' schemas; partitions are left out.
--
-- uses: tenant_schema
select c.oid, c.relname, c.relkind, s.oid as schema
from tenant_schema as s
join pg_class as c on c.relnamespace = s.oid
where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
