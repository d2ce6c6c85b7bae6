-- Statements that write the most WAL
--
-- Statements by write-ahead log in the range: what replicas receive, and what is archived. Many full-page images come
-- from checkpoints that follow each other too fast. The share is of all WAL of statements.
--
-- kind: table
-- unit: short
-- needs: stat_statements
-- size: 12x8
-- columns:
--   query         label  Statement  link: query_detail; width: 420
--   share         value  Share [percentunit]  bar; width: 110
--   wal_bytes     value  WAL [bytes]
--   wal_per_call  value  A call [bytes]
--   wal_fpi       value  Full pages
--   calls         value  Calls
--   usename       label  User
--   datname       label  Database
--   nested        label  Nested
--   target        label  Target  hidden
--   queryid       label  Query ID
select
  coalesce(left(s.query, 300), 'statement ' || s.queryid) as query,
  s.share,
  s.wal_bytes,
  s.wal_bytes::double precision / nullif(s.calls, 0) as wal_per_call,
  s.wal_fpi,
  s.calls,
  s.usename,
  s.datname,
  case when not s.toplevel then 'in a function' end as nested,
  s.target,
  s.queryid::text as queryid
from monitoring.top_statements(
  ${target:sqlstring}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, 'wal_bytes', 10
) as s
order by s.wal_bytes desc, s.queryid
limit 10
