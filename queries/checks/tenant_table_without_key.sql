-- A table of the pool that the application may use, is not shared, and has no tenant key.
--
-- Nothing in its rows says whose they are, so that no statement and no policy can ask for one tenant's alone. Where
-- they point at rows of tenants they are tenants' rows themselves (P1); where at nothing, nobody can say (P2).
-- What row level security guards by the rows that are pointed at is left out, and so is what migrations count.
--
-- model: column
-- severity: P2
-- uses: pool_relation, indirect_table, relation, tenant_directory, app_access
with access as (
  select a.oid, string_agg(a.app_name::text, ', ' order by a.app_name) as names
  from app_access as a
  group by a.oid
),
bare as materialized (
  select r.oid, r.object, r.relkind, r.relrowsecurity, a.names
  from pool_relation as r
  join access as a on a.oid = r.oid
  where r.relkind in ('r', 'p') and r.key_attnum is null and not r.relispartition and not r.is_shared
    and r.oid not in (select d.oid from tenant_directory as d)
    and lower(r.relname) not in (
      'alembic_version', 'schema_migrations', 'ar_internal_metadata', 'django_migrations', 'flyway_schema_history',
      'databasechangelog', 'databasechangeloglock', '_prisma_migrations', 'knex_migrations', 'knex_migrations_lock',
      'sequelizemeta', 'typeorm_metadata', 'migrations', 'goose_db_version', '__efmigrationshistory', '_sqlx_migrations'
    )
),
-- Every policy that lets rows through asks another table, a function or the context whose a row is.
guarded as (
  select b.oid
  from bare as b
  where b.relrowsecurity
    and not exists (
      select
      from pg_policy as p
      where p.polrelid = b.oid and p.polpermissive
        and not exists (
          select
          from pg_depend as d
          where d.classid = 'pg_policy'::regclass and d.objid = p.oid
            and (
              (d.refclassid = 'pg_class'::regclass and d.refobjid <> b.oid)
              or d.refclassid = 'pg_proc'::regclass
              or pg_get_expr(coalesce(p.polqual, p.polwithcheck), p.polrelid)
                ~* 'current_setting|current_user|session_user'
            )
        )
    )
),
member as (
  select distinct on (r.child) r.child, a.attname, d.object
  from relation as r
  join tenant_directory as d on d.oid = r.parent
  join pg_attribute as a on a.attrelid = r.child and a.attnum = r.child_columns[1]
  order by r.child, a.attnum
)
select
  b.object,
  '' as role,
  case
    when m.child is not null then 'P1'
    when i.oid is not null then 'P1'
    else 'P2'
  end as severity,
  case
    when m.child is not null then format(
      '%s of %s points at %s, and is no key that is declared: rows of every tenant, which nothing holds apart for %s.',
      quote_ident(m.attname), b.object, m.object, b.names
    )
    when i.oid is not null then format(
      'Rows of %s are a tenant''s by %s, and have no key: %s can ask for those of every tenant at once.',
      b.object, p.object, b.names
    )
    else format('Nothing says whose the rows of %s are: all tenants share what %s keeps there.', b.object, b.names)
  end as detail,
  case
    when m.child is not null then format('Add %I to [tenancy] key.columns, or rename the column.', m.attname)
    else format('ALTER TABLE %s ADD COLUMN %I %s; -- fill it, set it NOT NULL and put it into the keys%s',
      b.object, k.key, k.type,
      case when i.oid is null then ', or declare the table in [tenancy] shared.tables' else '' end)
  end as remedy,
  '' as part
from bare as b
left join member as m on m.child = b.oid
left join indirect_table as i on i.oid = b.oid
left join pool_relation as p on p.oid = i.parent
cross join lateral (
  select t.key, format_type(t.key_type, null) as type
  from pool_relation as t
  where t.key_attnum is not null
  order by t.relkind = 'r' desc, t.oid
  limit 1
) as k
where b.oid not in (select g.oid from guarded as g)
