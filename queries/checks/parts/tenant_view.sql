-- Views and materialized views of any schema that read tenants' rows, directly or through other views.
--
-- uses: guarded_relation, view_source
with recursive reaching as (
  select s.view from view_source as s join guarded_relation as g on g.oid = s.source
  union
  select s.view from reaching as r join view_source as s on s.source = r.view
)
select
  v.oid,
  v.relnamespace,
  n.nspname,
  v.relname,
  quote_ident(n.nspname) || '.' || quote_ident(v.relname) as object,
  v.relkind,
  v.relowner,
  v.relispopulated,
  coalesce(
    (
      select x.option_value::boolean
      from pg_options_to_table(v.reloptions) as x
      where x.option_name = 'security_barrier'
    ), false
  ) as is_barrier
from reaching as r
join pg_class as v on v.oid = r.view
join pg_namespace as n on n.oid = v.relnamespace
where n.nspname !~ '^pg_'
