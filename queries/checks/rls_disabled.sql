-- A tenant table without row level security, which the application may read or write.
--
-- Whoever works as the application's role sees and changes the rows of all tenants; nothing but the text of each
-- statement keeps them apart. Partitions have a check of their own; the table of the tenants is every tenant's.
--
-- model: rls
-- severity: P0
-- uses: tenant_table, app_access
select
  t.object,
  a.app_name as role,
  'Row level security is off: ' || a.app_name || ' may '
    || concat_ws(', ',
      case when a.can_select then 'read' end,
      case when a.can_insert then 'add' end,
      case when a.can_update then 'change' end,
      case when a.can_delete then 'delete' end)
    || ' rows of every tenant.' as detail,
  format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY;', t.object) as remedy
from tenant_table as t
join app_access as a using (oid)
where not t.relrowsecurity and not t.relispartition and not t.is_tenants_table
order by 1, 2
