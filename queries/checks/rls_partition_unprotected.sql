-- A partition of a tenant table, without row level security of its own, that the application may use directly.
--
-- Policies of the partitioned table apply to queries that name it; a query that names the partition is judged by the
-- partition's own, and there are none: it gives the rows of all tenants.
--
-- model: rls
-- severity: P0
-- uses: tenant_table, app_identity
with recursive tree as (
  select t.oid, t.object as root
  from tenant_table as t
  where t.relkind = 'p' and not t.relispartition
  union all
  select h.inhrelid, t.root
  from tree as t
  join pg_inherits as h on h.inhparent = t.oid
)
select
  quote_ident(n.nspname) || '.' || quote_ident(c.relname) as object,
  i.app_name as role,
  format(
    'The partition can be named in a query, and the policies of %s do not apply to it: %s may %s rows of every tenant.',
    min(t.root), i.app_name,
    concat_ws(
      ', ',
      case when bool_or(has_any_column_privilege(i.identity, c.oid, 'SELECT')) then 'read' end,
      case when bool_or(has_any_column_privilege(i.identity, c.oid, 'INSERT')) then 'add' end,
      case when bool_or(has_any_column_privilege(i.identity, c.oid, 'UPDATE')) then 'change' end,
      case when bool_or(has_table_privilege(i.identity, c.oid, 'DELETE')) then 'delete' end
    )
  ) as detail,
  format(
    'ALTER TABLE %1$I.%2$I ENABLE ROW LEVEL SECURITY; ALTER TABLE %1$I.%2$I FORCE ROW LEVEL SECURITY;',
    n.nspname, c.relname
  ) as remedy
from tree as t
join pg_class as c on c.oid = t.oid and c.relispartition and c.relkind in ('r', 'p') and not c.relrowsecurity
join pg_namespace as n on n.oid = c.relnamespace
join app_identity as i
  on has_schema_privilege(i.identity, n.oid, 'USAGE')
  and (
    has_table_privilege(i.identity, c.oid, 'DELETE')
    or has_any_column_privilege(i.identity, c.oid, 'SELECT, INSERT, UPDATE')
  )
group by n.nspname, c.relname, i.app_name
order by 1, 2
