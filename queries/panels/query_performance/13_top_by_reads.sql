-- Statements that read the most blocks
--
-- Statements by blocks that were not in PostgreSQL's cache, and had to be read from the disk or from the operating
-- system's cache. The share is of all reads; many reads a call point to a missing index or a table that outgrew the
-- cache.
--
-- kind: table
-- unit: short
-- needs: stat_statements
-- size: 12x8
-- columns:
--   query             label  Statement  link: query_detail; width: 420
--   share             value  Share [percentunit]  bar; width: 110
--   shared_blks_read  value  Blocks read
--   reads_per_call    value  A call
--   hit_ratio         value  Cache hits [percentunit]
--   usename           label  User
--   datname           label  Database
--   nested            label  Nested
--   target            label  Target  hidden
--   queryid           label  Query ID
select
  coalesce(left(s.query, 300), 'statement ' || s.queryid) as query,
  s.share,
  s.shared_blks_read,
  s.shared_blks_read::double precision / nullif(s.calls, 0) as reads_per_call,
  s.shared_blks_hit::double precision / nullif(s.shared_blks_hit + s.shared_blks_read, 0) as hit_ratio,
  s.usename,
  s.datname,
  case when not s.toplevel then 'in a function' end as nested,
  s.target,
  s.queryid::text as queryid
from monitoring.top_statements(
  ${target:sqlstring}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, 'shared_blks_read', 10
) as s
order by s.shared_blks_read desc, s.queryid
limit 10
