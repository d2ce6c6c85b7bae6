-- Cross-tenant queries over time
--
-- Calls in each interval that were bound to no single tenant, by the application (an incident), or by roles of which
-- nothing is known (suspected). The moment at which the first ones came names the release or the report that did it.
--
-- kind: timeseries
-- unit: short
-- needs: verdict_calls
-- size: 12x6
-- min: 0
-- links: query_performance
-- columns:
--   time          time
--   cross_tenant  value  Cross-tenant calls
--   suspected     value  Suspected calls
select
  date_bin('$__interval_ms ms', q.time, timestamptz 'epoch') as time,
  sum(case when q.verdict in ('cross_tenant', 'cross_schema') then q.calls else 0 end) as cross_tenant,
  sum(case when q.verdict = 'suspected' then q.calls else 0 end) as suspected
from monitoring.verdict_calls as q
where q.tier = monitoring.tier('tenant_queries', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
  and q.time >= $__timeFrom()::timestamptz
  and q.time < $__timeTo()::timestamptz
  and q.target in ($target)
group by 1
order by 1
