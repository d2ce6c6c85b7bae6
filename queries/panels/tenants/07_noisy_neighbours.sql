-- Noisy neighbours
--
-- Tenants that take more than their part. The rule: at least 5 % of their target's load, and at least twice the share
-- that they had in the stretch of the same length before; or at least 25 % of it, and ten times the median tenant. Ask
-- what they run (query performance), and move or limit them if it goes on. Nothing listed: nobody stands out.
--
-- kind: table
-- unit: short
-- needs: tenant_activity
-- size: 12x8
-- links: query_performance
-- columns:
--   tenant        label  Tenant  link: tenants
--   target        label  Target  link: query_performance
--   share         value  Share now [percentunit]  bar
--   share_before  value  Share before [percentunit]
--   times_before  value  Times before  thresholds: info, 2 warning, 5 critical
--   times_median  value  Times the median  thresholds: info, 10 warning, 50 critical
with totals as (
  select
    a.target,
    a.tenant,
    sum(a.tup_read + a.tup_written) filter (where a.time >= $__timeFrom()::timestamptz) as touched,
    sum(a.tup_read + a.tup_written) filter (where a.time < $__timeFrom()::timestamptz) as touched_before
  from monitoring.tenant_activity as a
  where a.tier = monitoring.tier('tenant_activity', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 170), $__timeFrom()::timestamptz - ($__timeTo()::timestamptz - $__timeFrom()::timestamptz))
    and a.time >= $__timeFrom()::timestamptz - ($__timeTo()::timestamptz - $__timeFrom()::timestamptz)
    and a.time < $__timeTo()::timestamptz
    and a.target in ($target)
  group by a.target, a.tenant
), of_target as (
  select
    t.target,
    sum(t.touched) as touched,
    sum(t.touched_before) as touched_before,
    percentile_cont(0.5) within group (order by t.touched) as median
  from totals as t
  group by t.target
), shares as (
  select
    t.tenant,
    t.target,
    (t.touched / nullif(o.touched, 0))::double precision as share,
    (t.touched_before / nullif(o.touched_before, 0))::double precision as share_before,
    t.touched / nullif(o.median, 0) as times_median
  from totals as t
  join of_target as o on o.target = t.target
)
select
  s.tenant,
  s.target,
  s.share,
  s.share_before,
  s.share / nullif(s.share_before, 0) as times_before,
  s.times_median
from shares as s
where s.share >= 0.05 and s.share >= 2 * s.share_before
  or s.share >= 0.25 and s.times_median >= 10
order by s.share >= 2 * s.share_before desc nulls last, s.share desc, s.tenant, s.target
limit 50
