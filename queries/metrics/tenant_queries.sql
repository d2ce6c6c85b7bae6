-- Calls of statements by what they do about tenants, by user.
--
-- Made of the snapshots of stat_statements, in the store: each statement counts as it stood in that interval. A verdict
-- is cross_tenant (not bound to one tenant, by an application role, without row level security), cross_schema
-- (touches another tenant's schema), suspected (unbound, by a role that nothing is known of), idor_prone (a row by its
-- own key alone, by an application role), session_context (sets the context for the session), unparsed, point (as
-- idor_prone, by a role that nothing is known of), allowed, rls_covered (row level security alone keeps it to one
-- tenant), derived, scoped, operator (by a role that may see all tenants), not_applicable (touches no tenants' table)
-- and unjudged. A statement is unjudged until its text is fetched, some minutes at the most; when the verdict is
-- there, the calls from before are moved to where they belong, at the time at which they were counted. When a
-- statement comes to stand worse, so are the calls since the last look that still found it well: an upper bound.
--
-- Statements of the target's own database are counted, and only where [tenancy] is in force.
--
-- source: stat_statements
-- only_with: tenancy_look
-- interval: 60s
-- tiers: 1m 5m 1h 1d
-- missing: zero
-- nulls: zero
-- columns:
--   dbid             key      oid               database
--   userid           key      oid               role that executed the statements
--   verdict          key      text              what they do about tenants
--   calls            counter  bigint            times they were executed
--   total_exec_time  counter  double precision  time spent executing [ms]
select
  r.ts,
  r.quality,
  s.dbid,
  s.userid,
  coalesce(v.verdict, 'unjudged') as verdict,
  r.calls,
  r.total_exec_time
from reading as r
join monitoring.stat_statements_series as s using (series_id)
left join monitoring.statement_standing as v
  on v.series_id = r.series_id and r.ts > v.valid_from and r.ts <= v.valid_to
where s.dbid = (
  select l.dbid
  from monitoring.tenancy_look as l
  where l.target_id = r.target_id
  order by l.seen_from desc
  limit 1
)
