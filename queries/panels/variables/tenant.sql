-- Tenant
--
-- Tenants of the chosen targets in the time range: at most the 300 with the most rows read and written. A name that
-- Grafana would take for a macro, as in $x(, is left out: tenants choose their names.
--
-- needs: tenant_activity
-- multi: yes
-- of_range: yes
select x.tenant
from (
  select a.tenant, sum(a.tup_read + a.tup_written) as touched
  from monitoring.tenant_activity as a
  where a.tier = monitoring.tier('tenant_activity', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
    and a.time >= $__timeFrom()::timestamptz
    and a.time < $__timeTo()::timestamptz
    and a.target in ($target)
    and a.tenant !~ '[$][A-Za-z0-9_]+[(]'
  group by a.tenant
  order by touched desc nulls last, a.tenant
  limit 300
) as x
order by 1
