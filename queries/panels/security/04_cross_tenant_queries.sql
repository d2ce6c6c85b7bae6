-- Cross-tenant queries
--
-- Calls in the time range, up to this minute, of statements by the application that were bound to no single tenant, with
-- no row level security to hold them: above 0 it is a security incident, P0. Suspected are the same by roles of which
-- nothing is known; not judged are calls whose text could not be parsed or is not known yet. Ranges beyond 12 days are
-- in whole days, but for the last one.
--
-- kind: stat
-- unit: short
-- needs: verdict_calls
-- size: 12x6
-- decimals: 0
-- columns:
--   cross_tenant  value  Cross-tenant  thresholds: success, 1 critical
--   suspected     value  Suspected     thresholds: success, 1 warning
--   idor_prone    value  By key alone (IDOR)  thresholds: success, 1 warning
--   not_judged    value  Not judged    thresholds: success, 1 warning
select
  sum(case when q.verdict in ('cross_tenant', 'cross_schema') then q.calls else 0 end) as cross_tenant,
  sum(case when q.verdict = 'suspected' then q.calls else 0 end) as suspected,
  sum(case when q.verdict = 'idor_prone' then q.calls else 0 end) as idor_prone,
  sum(case when q.verdict in ('unparsed', 'unjudged') then q.calls else 0 end) as not_judged
from monitoring.verdict_calls as q
where q.tier = monitoring.tier('tenant_queries', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
  and q.time >= $__timeFrom()::timestamptz
  and q.time < $__timeTo()::timestamptz
  and q.target in ($target)
