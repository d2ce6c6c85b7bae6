-- Which application role may use which of the views that read tenants' rows, itself or as a role that it can become.
--
-- uses: tenant_view, app_identity
select
  v.oid,
  i.app,
  i.app_name,
  bool_or(has_table_privilege(i.identity, v.oid, 'SELECT') or has_any_column_privilege(i.identity, v.oid, 'SELECT'))
    as can_select
from app_identity as i
join tenant_view as v on has_schema_privilege(i.identity, v.relnamespace, 'USAGE')
where has_table_privilege(i.identity, v.oid, 'SELECT, INSERT, UPDATE, DELETE')
  or has_any_column_privilege(i.identity, v.oid, 'SELECT, INSERT, UPDATE')
group by v.oid, i.app, i.app_name
