-- Open findings, the worst first
--
-- Each finding that is open now and not allowed: what a tenant could do with it, and the statement that mends it. Fails
-- stand before unknowns of the same severity. A heuristic one was told by text alone and may be wrong. To live with
-- one, add it to [[tenancy.allow]] with a reason and a date.
--
-- kind: table
-- unit: none
-- needs: finding
-- size: 24x12
-- instant: yes
-- columns:
--   severity        label  Severity  states: P0 critical, P1 critical, P2 warning, P3 info; width: 80
--   status          label  Status  states: fail critical, unknown warning; width: 90
--   target          label  Target  link: security; width: 140
--   check_name      label  Check  width: 200
--   object          label  Object  width: 180
--   role            label  Role  width: 130
--   detail          label  What a tenant could do  width: 320
--   remedy          label  What mends it  width: 320
--   grounds         label  Told by  width: 100
--   open_seconds    value  Open for [dtdurations]
--   silent_seconds  value  Last seen [dtdurations]  thresholds: success, 7200 warning
select
  f.severity::text as severity,
  f.status::text as status,
  f.target,
  f.check_name,
  f.object,
  f.role,
  f.detail,
  f.remedy,
  case when f.is_heuristic then 'text (heuristic)' else 'catalog or data' end as grounds,
  extract(epoch from now() - f.opened_at)::double precision as open_seconds,
  extract(epoch from now() - f.last_seen)::double precision as silent_seconds
from monitoring.finding as f
where f.is_open
  and f.allowed is null
  and f.target in ($target)
order by f.severity, f.status, f.opened_at desc, f.target, f.check_name, f.object
limit 50
