-- What [tenancy] names and this database does not have.
--
-- A role, table, column or schema that is not there has nothing wrong with it: checks of it would pass without having
-- looked at anything.
--
-- model: all
-- severity: P1
-- uses: tenancy, pool_relation, tenant_schema, tenant_database
with named as (
  select c.oid, n.nspname || '.' || c.relname as name, quote_ident(n.nspname) || '.' || quote_ident(c.relname) as quoted
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p')
)
select
  'unknown' as status,
  w.object,
  w.role,
  w.detail,
  w.remedy,
  w.part
from tenancy as t
cross join lateral (
  select
    '' as object, r.name as role, 'roles' as part,
    format('There is no role %I: nothing is known of what it could see.', r.name) as detail,
    'Mend [tenancy] roles, or create the role.' as remedy
  from unnest(t.app_roles || t.admin_roles) as r (name)
  where not exists (select from pg_roles as p where p.rolname = r.name)
  union all
  select
    t.tenants_table, '', 'tenants_table',
    format('There is no table %s: tenants cannot be listed.', t.tenants_table),
    'Mend [tenancy] key.tenants_table: write it as schema.table, of a schema of the pool.'
  where t.tenants_table is not null and not exists (select from pool_relation as p where p.is_tenants_table)
  union all
  select
    p.object, '', 'tenants_pk',
    format('%s has no column %I: tenants cannot be listed.', p.object, t.tenants_pk),
    'Mend [tenancy] key.tenants_pk.'
  from pool_relation as p
  where p.is_tenants_table
    and not exists (
      select from pg_attribute as a
      where a.attrelid = p.oid and a.attname = t.tenants_pk and a.attnum > 0 and not a.attisdropped
    )
  union all
  select
    s.name, '', 'schemas',
    format('There is no schema %I: nothing is known of what is in it.', s.name),
    'Mend [tenancy] pool_schemas or shared.schemas.'
  from unnest(t.pool_schemas || t.shared_schemas) as s (name)
  where not exists (select from pg_namespace as n where n.nspname = s.name)
  union all
  select
    s.name, '', 'shared_tables',
    format('There is no table %s among those of the pool.', s.name),
    'Mend [tenancy] shared.tables: write it as schema.table.'
  from unnest(t.shared_tables) as s (name)
  where not exists (
    select from pool_relation as p
    where s.name in (p.object, p.relname, p.nspname || '.' || p.relname)
  )
  union all
  select
    s.name, '', 'audit_tables',
    format('There is no table %s: nothing is known of what was done to it.', s.name),
    'Mend [tenancy] audit_tables: write it as schema.table.'
  from unnest(t.audit_tables) as s (name)
  where not exists (
    select from pg_class as c
    where c.relname = s.name and c.relkind in ('r', 'p', 'f')
  )
    and not exists (select from named as c where s.name in (c.name, c.quoted))
  union all
  select
    '', '', 'key',
    'No table of the pool has a column ' || array_to_string(t.key_columns, ', ') || ': nothing was looked at.',
    'Mend [tenancy] key.columns; sbpgmon tenants detect proposes them.'
  where t.models && '{rls,column}'
    and not exists (select from pool_relation as p where p.key_attnum is not null)
  union all
  select
    '', '', 'schema_pattern',
    format('No schema is like %s: nothing was looked at.', t.schema_pattern),
    'Mend [tenancy] schemas.pattern; sbpgmon tenants detect proposes it.'
  where 'schema' = any (t.models) and not exists (select from tenant_schema)
  union all
  select
    '', m.role, 'schema_role',
    format('There is no role %I, of the tenant %s: nothing is known of what it could see.', m.role, m.tenant),
    'Mend [tenancy] schemas.role, or create the role.'
  from tenant_schema as m
  where m.role is not null and m.role_oid is null
  union all
  select
    '', '', 'database_pattern',
    format('No database is like %s: nothing was looked at.', t.database_pattern),
    'Mend [tenancy] databases.pattern.'
  where 'database' = any (t.models) and t.tenant_databases = '[]'
  union all
  select
    '', m.role, 'database_role',
    format('There is no role %I, of the tenant %s: nothing is known of what it could see.', m.role, m.tenant),
    'Mend [tenancy] databases.role, or create the role.'
  from tenant_database as m
  where m.role is not null and m.role_oid is null
  union all
  select
    d.child, '', 'relations ' || d.parent,
    format('The declared relation of %s to %s does not name tables and columns that are there.', d.child, d.parent),
    'Mend [[tenancy.relations]]: tables as schema.table.'
  from jsonb_to_recordset(t.relations) as d (child text, columns jsonb, parent text, parent_columns jsonb)
  left join named as c on d.child in (c.name, c.quoted)
  left join named as p on d.parent in (p.name, p.quoted)
  where c.oid is null
    or p.oid is null
    or exists (
      select from jsonb_array_elements_text(d.columns) as w (name)
      where not exists (
        select from pg_attribute as a
        where a.attrelid = c.oid and a.attname = w.name and not a.attisdropped
      )
    )
    or exists (
      select from jsonb_array_elements_text(d.parent_columns) as w (name)
      where not exists (
        select from pg_attribute as a
        where a.attrelid = p.oid and a.attname = w.name and not a.attisdropped
      )
    )
) as w
