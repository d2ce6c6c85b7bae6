-- What each tenant reads and writes, how much it has, and its sessions, as far as the deployment tells.
--
-- Schemas of one tenant each, or its database, give rows and scans, tables and size; a role for each tenant, or its
-- name in application_name ([tenancy.activity] application_name), the sessions in this database at that moment;
-- [tenancy.activity] sql whatever it says. What nothing tells is NULL, and not 0.
--
-- Sizes are those of the last VACUUM or ANALYZE (pg_class.relpages of tables, TOAST and indexes): nothing is looked
-- for in the file system, and what neither has come by yet counts as 0. An interval in which a tenant's tables or
-- indexes came or went, or in which statistics were reset, is not known, nor is a new tenant's first. At most 2,000
-- tenants, in the order of their names, stand for themselves; the rest is the tenant `other`.
--
-- interval: 60s
-- tiers: 1m 5m 1h 1d
-- scope: database
-- requires: pg_monitor
-- uses: tenancy, tenant_schema, tenant_figures
-- missing: unknown
-- nulls: unknown
-- fresh: unknown
-- columns:
--   tenant           key      text         tenant, as its schema, role or tag names it
--   tup_read         counter  bigint       rows that scans of its tables returned: sequential ones read, index ones fetched
--   tup_written      counter  bigint       rows inserted, updated and deleted
--   scans            counter  bigint       scans of its tables
--   tables           gauge    integer      tables and materialized views
--   row_count        gauge    bigint       rows that it has, where the user's SQL says so
--   size_bytes       gauge    bigint       tables with TOAST and indexes [bytes]
--   sessions         gauge    integer      sessions
--   active_sessions  gauge    integer      of them, at work
--   counted_since    reset    timestamptz  another one when tables came or went: no time that means anything
with relation as materialized (
  select s.tenant, c.oid, c.relkind, c.relpages, c.reltoastrelid
  from tenant_schema as s
  join pg_class as c on c.relnamespace = s.oid and c.relkind in ('r', 'm', 'i')
  union all
  select t.tenant, c.oid, c.relkind, c.relpages, c.reltoastrelid
  from tenancy as t
  join pg_namespace as n on n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'monitoring')
  join pg_class as c on c.relnamespace = n.oid and c.relkind in ('r', 'm', 'i')
  where t.tenant is not null and 'database' = any (t.models)
),
of_schema as (
  select
    r.tenant,
    sum(
      case when r.relkind = 'i' then 0 else pg_stat_get_tuples_returned(r.oid) end + pg_stat_get_tuples_fetched(r.oid)
    )::bigint as tup_read,
    sum(
      case
        when r.relkind = 'i' then 0
        else pg_stat_get_tuples_inserted(r.oid) + pg_stat_get_tuples_updated(r.oid) + pg_stat_get_tuples_deleted(r.oid)
      end
    )::bigint as tup_written,
    sum(pg_stat_get_numscans(r.oid))::bigint as scans,
    (count(*) filter (where r.relkind <> 'i'))::integer as tables,
    (sum(r.relpages::bigint + coalesce(t.relpages, 0) + coalesce(i.relpages, 0))
      * current_setting('block_size')::bigint)::bigint as size_bytes,
    hashtextextended(string_agg(r.oid::text, ' ' order by r.oid), 0) as members
  from relation as r
  left join pg_class as t on t.oid = r.reltoastrelid and r.reltoastrelid <> 0
  left join pg_index as x on x.indrelid = t.oid
  left join pg_class as i on i.oid = x.indexrelid
  group by r.tenant
),
session as materialized (
  select
    coalesce(m.tenant, substring(a.application_name from k.application_name), k.tenant) as tenant,
    a.state = 'active' as is_active
  from pg_stat_activity as a
  cross join tenancy as k
  left join (
    select s.role, min(s.tenant) as tenant from tenant_schema as s where s.role is not null group by s.role
  ) as m on m.role = a.usename
  where a.datname = current_database()
    and a.backend_type = 'client backend'
    and a.pid <> pg_backend_pid()
    and a.usename <> k.own_role
),
of_session as (
  select
    s.tenant,
    count(*)::integer as sessions,
    (count(*) filter (where s.is_active))::integer as active_sessions
  from session as s
  where s.tenant is not null
  group by s.tenant
),
found as (
  select
    tenant,
    coalesce(s.tup_read, f.tup_read) as tup_read,
    coalesce(s.tup_written, f.tup_written) as tup_written,
    case when s.scans is null and f.tup_read is not null then 0 else s.scans end as scans,
    s.tables,
    f.row_count,
    coalesce(s.size_bytes, f.size_bytes) as size_bytes,
    -- Who is tagged at all is known to have none when there is none.
    coalesce(w.sessions, f.sessions, case when k.application_name is not null or r.tenant is not null then 0 end)
      as sessions,
    coalesce(
      w.active_sessions, f.active_sessions,
      case when k.application_name is not null or r.tenant is not null then 0 end
    ) as active_sessions,
    coalesce(s.members, 0) as members
  from of_schema as s
  full join of_session as w using (tenant)
  full join tenant_figures as f using (tenant)
  left join (select distinct m.tenant from tenant_schema as m where m.role_oid is not null) as r using (tenant)
  cross join (select t.application_name from tenancy as t) as k
),
placed as (
  select n.*, case when row_number() over (order by n.tenant collate "C") <= 2000 then n.tenant else 'other' end as place
  from found as n
  where (select t.models <> '{}' from tenancy as t)
)
select
  p.place as tenant,
  case when count(p.tup_read) = count(*) then sum(p.tup_read)::bigint end as tup_read,
  case when count(p.tup_written) = count(*) then sum(p.tup_written)::bigint end as tup_written,
  case when count(p.scans) = count(*) then sum(p.scans)::bigint end as scans,
  sum(p.tables)::integer as tables,
  sum(p.row_count)::bigint as row_count,
  sum(p.size_bytes)::bigint as size_bytes,
  sum(p.sessions)::integer as sessions,
  sum(p.active_sessions)::integer as active_sessions,
  -- A moment of the seventies: where it moves, the counters are not of the same tables as before.
  to_timestamp(
    hashtextextended(
      string_agg(p.tenant || p.members::text, ' ' order by p.tenant collate "C")
        || coalesce((select d.stats_reset::text from pg_stat_database as d where d.datname = current_database()), ''),
      0
    ) & 268435455
  ) as counted_since
from placed as p
group by p.place
