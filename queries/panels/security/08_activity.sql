-- Suspicious activity by target
--
-- The worst in each interval. Incident: cross-tenant calls, or rows of audit tables that were changed or removed.
-- Suspicious: suspected calls, a change of what keeps tenants apart, or IDOR rejections (the event idor_rejections). Not
-- all judged: some calls could not be parsed, or their texts are not known yet. A gap: nobody watched. The 20 targets
-- with the most of it.
--
-- kind: state-timeline
-- unit: none
-- needs: verdict_calls, audit_changes, tenant_events, events
-- size: 24x8
-- states: 0 success Quiet, 1 info Not all judged, 2 warning Suspicious, 3 critical Incident
-- columns:
--   time    time
--   target  label  Target
--   state   value  State
with seen as (
  select
    date_bin('$__interval_ms ms', q.time, timestamptz 'epoch') as time,
    q.target,
    max(
      case
        when q.calls is null then 1
        when q.calls = 0 then 0
        when q.verdict in ('cross_tenant', 'cross_schema') then 3
        when q.verdict = 'suspected' then 2
        when q.verdict in ('unparsed', 'unjudged') then 1
        else 0
      end
    ) as state
  from monitoring.verdict_calls as q
  where q.tier = monitoring.tier('tenant_queries', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 170), $__timeFrom()::timestamptz)
    and q.time >= $__timeFrom()::timestamptz
    and q.time < $__timeTo()::timestamptz
    and q.target in ($target)
  group by 1, 2
  union all
  select
    date_bin('$__interval_ms ms', a.time, timestamptz 'epoch') as time,
    a.target,
    max(case when a.changed > 0 or a.removed > 0 then 3 when a.changed = 0 and a.removed = 0 then 0 end) as state
  from monitoring.audit_changes as a
  where a.tier = monitoring.tier('audit_changes', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 170), $__timeFrom()::timestamptz)
    and a.time >= $__timeFrom()::timestamptz
    and a.time < $__timeTo()::timestamptz
    and a.target in ($target)
  group by 1, 2
  union all
  select
    date_bin('$__interval_ms ms', e.time, timestamptz 'epoch') as time,
    e.target,
    2 as state
  from monitoring.tenant_events as e
  where e.tier = monitoring.tier('tenant_events', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 170), $__timeFrom()::timestamptz)
    and e.time >= $__timeFrom()::timestamptz
    and e.time < $__timeTo()::timestamptz
    and e.target in ($target)
    and e.event = 'idor_rejections'
    and e.count > 0
  group by 1, 2
  union all
  select
    date_bin(
      interval '1 ms' * greatest($__interval_ms, case monitoring.tier('tenant_queries', greatest($__interval_ms, extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) * 1000 / 170), $__timeFrom()::timestamptz) when '1d' then 86400000 when '1h' then 3600000 when '5m' then 300000 else 60000 end),
      i.time,
      timestamptz 'epoch'
    ) as time,
    i.target,
    2 as state
  from monitoring.events as i
  where i.kind = 'isolation'
    and i.time >= $__timeFrom()::timestamptz
    and i.time < $__timeTo()::timestamptz
    and i.target in ($target)
  group by 1, 2
), states as (
  select s.time, s.target, max(s.state) as state
  from seen as s
  group by 1, 2
), worst as (
  select s.target
  from states as s
  group by s.target
  order by count(*) filter (where s.state = 3) desc, count(*) filter (where s.state = 2) desc, s.target
  limit 20
)
select s.time, s.target, s.state
from states as s
where s.target in (select w.target from worst as w)
order by 1, 2
