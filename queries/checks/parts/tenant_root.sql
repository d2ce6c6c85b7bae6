-- Tables that hold rows of several tenants, told apart by the key: without their partitions, and without the table of
-- the tenants.
--
-- uses: tenant_table, tenant_directory
select t.*
from tenant_table as t
where not t.relispartition
  and t.oid not in (select d.oid from tenant_directory as d)
