-- What each statement does about tenants, and why: where it stands now, and where it stood before.
--
-- The verdict on the text alone is text_verdict; who runs it, row level security and what is allowed make it the verdict.
-- A statement that came to stand worse does so from the last look on that found it well: calls are an upper bound.
--
-- needs: stat_statements, stat_database, roles
-- columns:
--   target        target
--   datname       database, as it was last called
--   usename       role, as it was last called
--   queryid       hash of the normalized statement
--   toplevel      executed as a top-level statement
--   query         text
--   verdict       what it does about tenants, as in tenant_queries
--   text_verdict  scoped, derived, point, unscoped, unparsed or not_applicable, by the text alone, as last judged
--   relation      table that decided it
--   reason        why
--   check_name    check that it fails; NULL: none
--   allowed       why it is let be; NULL: it is not
--   calls         calls since valid_from, of those that fail a check
--   last_called   last snapshot that saw a call, of those that fail a check
--   valid_from    since when; -infinity: from the beginning
--   valid_to      up to when; infinity: now
--   relations     tenants' tables that it touches
--   tenants       tenants whose schemas it touches
--   series_id     of stat_statements
select
  t.name as target,
  d.datname,
  r.usename,
  s.queryid,
  s.toplevel,
  x.query,
  v.verdict,
  j.verdict as text_verdict,
  j.relation,
  j.reason,
  v.check_name,
  v.allowed,
  v.calls,
  v.last_called,
  v.valid_from,
  v.valid_to,
  j.relations,
  j.tenants,
  v.series_id
from monitoring.statement_standing as v
join monitoring.target as t using (target_id)
join monitoring.stat_statements_series as s using (series_id)
join monitoring.statement_judgement as j using (judgement_id)
left join monitoring.statement_text as x using (text_id)
left join monitoring.stat_database_series as ds on ds.target_id = s.target_id and ds.datid = s.dbid
left join monitoring.stat_database_attributes as d on d.series_id = ds.series_id and d.valid_to = 'infinity'
left join monitoring.roles_series as rs on rs.target_id = s.target_id and rs.userid = s.userid
left join monitoring.roles_attributes as r on r.series_id = rs.series_id and r.valid_to = 'infinity'
