-- What each application role may do with each relation of the pool, itself or as a role that it can become.
--
-- Privileges on single columns and those of PUBLIC count; without USAGE on the schema there are none. Relations that
-- the role cannot touch have no row.
--
-- uses: pool_relation, app_identity
select
  r.oid,
  i.app,
  i.app_name,
  bool_or(has_table_privilege(i.identity, r.oid, 'SELECT') or has_any_column_privilege(i.identity, r.oid, 'SELECT'))
    as can_select,
  bool_or(has_table_privilege(i.identity, r.oid, 'INSERT') or has_any_column_privilege(i.identity, r.oid, 'INSERT'))
    as can_insert,
  bool_or(has_table_privilege(i.identity, r.oid, 'UPDATE') or has_any_column_privilege(i.identity, r.oid, 'UPDATE'))
    as can_update,
  bool_or(has_table_privilege(i.identity, r.oid, 'DELETE')) as can_delete
from app_identity as i
join pool_relation as r on has_schema_privilege(i.identity, r.relnamespace, 'USAGE')
where has_table_privilege(i.identity, r.oid, 'SELECT, INSERT, UPDATE, DELETE')
  or has_any_column_privilege(i.identity, r.oid, 'SELECT, INSERT, UPDATE')
group by r.oid, i.app, i.app_name
