-- Statements that fail
--
-- Statements that stood badly towards tenants at some time in the range: unbound ones first, then suspected ones, rows
-- found by their own key alone (IDOR), and contexts that are set for the session. Calls are those of that standing.
-- Click the query ID for the whole statement. Bind the tenant key, or force row level security for the role.
--
-- kind: table
-- unit: short
-- needs: statement_verdict, targets
-- size: 24x8
-- columns:
--   verdict      label  Verdict  states: cross_tenant critical, cross_schema critical, suspected warning, idor_prone warning, session_context warning, unparsed info; width: 120
--   target       label  Target  link: security; width: 140
--   usename      label  User  width: 120
--   queryid      label  Query ID  link: query_detail; width: 180
--   query        label  Statement  width: 320
--   relation     label  Table  width: 140
--   reason       label  Why  width: 260
--   calls        value  Calls
--   last_called  time   Last called
--   valid_to     time   Stood so until
select
  v.verdict,
  v.target,
  coalesce(v.usename, 'a role that is gone') as usename,
  v.queryid::text as queryid,
  left(v.query, 300) as query,
  v.relation,
  v.reason,
  v.calls,
  v.last_called,
  nullif(v.valid_to, 'infinity') as valid_to
from monitoring.statement_verdict as v
join monitoring.targets as t on t.target = v.target
where v.check_name is not null
  and v.allowed is null
  and v.target in ($target)
  and v.valid_to > $__timeFrom()::timestamptz
  and greatest(v.valid_from, t.first_seen) < $__timeTo()::timestamptz
  and v.last_called >= $__timeFrom()::timestamptz
order by
  array_position(
    array['cross_tenant', 'cross_schema', 'suspected', 'idor_prone', 'session_context', 'point'], v.verdict
  ),
  v.calls desc nulls last,
  v.target,
  v.queryid
limit 50
