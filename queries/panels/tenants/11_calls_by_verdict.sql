-- Calls by what they do about tenants
--
-- Calls of statements a second, over 2 minutes or more, by verdict: scoped ones are bound to one tenant, derived ones
-- over a foreign key, rls_covered ones by row level security; operator ones may see all. Unbound ones (cross_tenant,
-- cross_schema) are incidents, unjudged and unparsed ones are not known to be well. The security dashboard names the
-- statements.
--
-- kind: timeseries
-- unit: ops
-- needs: tenant_queries, coverage
-- size: 12x8
-- stack: yes
-- min: 0
-- links: security
-- columns:
--   time     time
--   verdict  label  Verdict
--   calls    value  Calls a second
with called as (
  select
    date_bin(greatest('$__interval_ms ms'::interval, interval '2 minutes'), q.time, timestamptz 'epoch') as time,
    q.target,
    q.verdict,
    sum(q.calls) as calls
  from monitoring.tenant_queries as q
  where q.tier = monitoring.tier('tenant_queries', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
    and q.time >= $__timeFrom()::timestamptz
    and q.time < $__timeTo()::timestamptz
    and q.target in ($target)
  group by 1, 2, 3
), watched as materialized (
  select
    date_bin(greatest('$__interval_ms ms'::interval, interval '2 minutes'), c.time, timestamptz 'epoch') as time,
    c.target,
    sum(c.covered_seconds) as seconds
  from monitoring.coverage as c
  where c.metric = 'tenant_queries'
    and c.tier = monitoring.tier('tenant_queries', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 300), $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz
    and c.time < $__timeTo()::timestamptz
    and c.target in ($target)
  group by 1, 2
), complete as (
  select n.time
  from (
    select
      w.time,
      count(*) as targets,
      lag(count(*)) over (order by w.time) as before,
      lead(count(*)) over (order by w.time) as after
    from watched as w
    group by 1
  ) as n
  where (n.time + greatest('$__interval_ms ms'::interval, interval '2 minutes') <= $__timeTo()::timestamptz or n.targets >= coalesce(n.before, 0))
    and (n.time >= $__timeFrom()::timestamptz or n.targets >= coalesce(n.after, 0))
)
select
  q.time,
  q.verdict,
  sum(q.calls / nullif(w.seconds, 0))::double precision as calls
from called as q
join watched as w on w.time = q.time and w.target = q.target
join complete as n on n.time = q.time
group by 1, 2
order by 1, 2
