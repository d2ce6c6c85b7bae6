-- Calls by what they do about tenants, as in tenant_queries, but up to now in every tier.
--
-- What a coarser tier does not have yet comes from the finer ones, each call once: a leak of this minute is in the sum
-- over a month.
--
-- needs: tenant_queries
-- columns:
--   time     end of the interval; start of the bucket in coarser tiers
--   tier     resolution; the latest rows of a coarse one are finer
--   target   target
--   userid   OID of the role
--   verdict  what the statements do about tenants
--   calls    how often they were called; NULL: unknown
--   quality  0 good; bits: 1 partial (a lower bound), 2 unknown, 4 gap
with mark as (
  select r.tier, r.watermark
  from monitoring.rollup as r
  join monitoring.metric as m using (metric_id)
  where m.name = 'tenant_queries'
)
select q.time, '1m'::text as tier, q.target, q.userid, q.verdict, q.calls, q.quality
from monitoring.tenant_queries as q
where q.tier = '1m'
union all
select q.time, '5m'::text as tier, q.target, q.userid, q.verdict, q.calls, q.quality
from monitoring.tenant_queries as q
where q.tier = '5m'
union all
select q.time, '5m'::text as tier, q.target, q.userid, q.verdict, q.calls, q.quality
from monitoring.tenant_queries as q
where q.tier = '1m'
  and q.time >= coalesce((select r.watermark from mark as r where r.tier = '5m'), '-infinity')
union all
select q.time, '1h'::text as tier, q.target, q.userid, q.verdict, q.calls, q.quality
from monitoring.tenant_queries as q
where q.tier = '1h'
union all
select q.time, '1h'::text as tier, q.target, q.userid, q.verdict, q.calls, q.quality
from monitoring.tenant_queries as q
where q.tier = '5m'
  and q.time >= coalesce((select r.watermark from mark as r where r.tier = '1h'), '-infinity')
  and q.time < coalesce((select r.watermark from mark as r where r.tier = '5m'), '-infinity')
union all
select q.time, '1h'::text as tier, q.target, q.userid, q.verdict, q.calls, q.quality
from monitoring.tenant_queries as q
where q.tier = '1m'
  and q.time >= coalesce((select r.watermark from mark as r where r.tier = '5m'), '-infinity')
union all
select q.time, '1d'::text as tier, q.target, q.userid, q.verdict, q.calls, q.quality
from monitoring.tenant_queries as q
where q.tier = '1d'
union all
select q.time, '1d'::text as tier, q.target, q.userid, q.verdict, q.calls, q.quality
from monitoring.tenant_queries as q
where q.tier = '1h'
  and q.time >= coalesce((select r.watermark from mark as r where r.tier = '1d'), '-infinity')
  and q.time < coalesce((select r.watermark from mark as r where r.tier = '1h'), '-infinity')
union all
select q.time, '1d'::text as tier, q.target, q.userid, q.verdict, q.calls, q.quality
from monitoring.tenant_queries as q
where q.tier = '5m'
  and q.time >= coalesce((select r.watermark from mark as r where r.tier = '1h'), '-infinity')
  and q.time < coalesce((select r.watermark from mark as r where r.tier = '5m'), '-infinity')
union all
select q.time, '1d'::text as tier, q.target, q.userid, q.verdict, q.calls, q.quality
from monitoring.tenant_queries as q
where q.tier = '1m'
  and q.time >= coalesce((select r.watermark from mark as r where r.tier = '5m'), '-infinity')
