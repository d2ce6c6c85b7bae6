-- Calls of statements that were not kept to one tenant: above 0 it is a security incident.
--
-- By user, of the target's own database. Statements that are allowed, and those of roles that may see all tenants, are in
-- none of these figures; tenant_queries has them all.
--
-- needs: tenant_queries, stat_database, roles
-- columns:
--   time                            end of the interval; start of the bucket in coarser tiers
--   tier                            resolution
--   target                          target
--   datname                         database, as it was last called
--   usename                         role, as it was last called
--   cross_tenant_queries            calls by the application that were not bound to one tenant, or touched another's schema
--   cross_tenant_queries_suspected  calls that were not bound to one tenant, by roles that nothing is known of
--   idor_prone_queries              calls by the application that found a row by its own key alone
--   session_level_context           calls that set the context for the session
--   unparsed_queries                calls of statements that could not be judged
--   unjudged_queries                calls of statements whose text is not known yet
--   allowed_queries                 calls that are let be
--   rls_covered_queries             calls that row level security alone keeps to one tenant
--   calls                           all calls
--   judged_ratio                    calls of statements that were judged, of all
--   quality                         0 good; bits: 1 partial (a lower bound), 2 unknown, 4 gap
--   dbid                            OID of the database
--   userid                          OID of the role
select
  q.time,
  q.tier,
  q.target,
  d.datname,
  r.usename,
  q.cross_tenant_queries,
  q.cross_tenant_queries_suspected,
  q.idor_prone_queries,
  q.session_level_context,
  q.unparsed_queries,
  q.unjudged_queries,
  q.allowed_queries,
  q.rls_covered_queries,
  q.calls,
  (q.calls - q.unparsed_queries - q.unjudged_queries)::double precision / nullif(q.calls, 0) as judged_ratio,
  q.quality,
  q.dbid,
  q.userid
from (
  select
    c.time,
    c.tier,
    c.target,
    c.target_id,
    c.dbid,
    c.userid,
    coalesce(sum(c.calls) filter (where c.verdict in ('cross_tenant', 'cross_schema')), 0)::bigint as cross_tenant_queries,
    coalesce(sum(c.calls) filter (where c.verdict = 'suspected'), 0)::bigint as cross_tenant_queries_suspected,
    coalesce(sum(c.calls) filter (where c.verdict = 'idor_prone'), 0)::bigint as idor_prone_queries,
    coalesce(sum(c.calls) filter (where c.verdict = 'session_context'), 0)::bigint as session_level_context,
    coalesce(sum(c.calls) filter (where c.verdict = 'unparsed'), 0)::bigint as unparsed_queries,
    coalesce(sum(c.calls) filter (where c.verdict = 'unjudged'), 0)::bigint as unjudged_queries,
    coalesce(sum(c.calls) filter (where c.verdict = 'allowed'), 0)::bigint as allowed_queries,
    coalesce(sum(c.calls) filter (where c.verdict = 'rls_covered'), 0)::bigint as rls_covered_queries,
    sum(c.calls)::bigint as calls,
    (bit_or(c.quality & 5) | case when bool_and(c.quality & 2 <> 0) then 2 when bool_or(c.quality & 2 <> 0) then 1 else 0 end)::smallint as quality
  from monitoring.tenant_queries as c
  group by c.time, c.tier, c.target, c.target_id, c.dbid, c.userid
) as q
left join monitoring.stat_database_series as ds on ds.target_id = q.target_id and ds.datid = q.dbid
left join monitoring.stat_database_attributes as d on d.series_id = ds.series_id and d.valid_to = 'infinity'
left join monitoring.roles_series as rs on rs.target_id = q.target_id and rs.userid = q.userid
left join monitoring.roles_attributes as r on r.series_id = rs.series_id and r.valid_to = 'infinity'
