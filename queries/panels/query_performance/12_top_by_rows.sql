-- Statements with the most rows
--
-- Statements by rows returned or changed in the range. Many rows a call where a page shows twenty means that the
-- application throws most of them away. The share is of all rows.
--
-- kind: table
-- unit: short
-- needs: stat_statements
-- size: 12x8
-- columns:
--   query          label  Statement  link: query_detail; width: 420
--   share          value  Share [percentunit]  bar; width: 110
--   rows           value  Rows
--   rows_per_call  value  Rows a call
--   calls          value  Calls
--   usename        label  User
--   datname        label  Database
--   nested         label  Nested
--   target         label  Target  hidden
--   queryid        label  Query ID
select
  coalesce(left(s.query, 300), 'statement ' || s.queryid) as query,
  s.share,
  s.rows,
  s.rows::double precision / nullif(s.calls, 0) as rows_per_call,
  s.calls,
  s.usename,
  s.datname,
  case when not s.toplevel then 'in a function' end as nested,
  s.target,
  s.queryid::text as queryid
from monitoring.top_statements(
  ${target:sqlstring}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, 'rows', 10
) as s
order by s.rows desc, s.queryid
limit 10
