-- Size by metric and tier
--
-- Each tier of each metric: how large it is, how far back it goes, how long it is kept, what comes a day and how large
-- it will be when it is full. A tier kept forever is never full. Rows are estimates. The largest first.
--
-- kind: table
-- unit: bytes
-- needs: store_size
-- size: 12x12
-- instant: yes
-- columns:
--   metric             label  Metric
--   part               label  Tier
--   total_bytes        value  Size
--   bytes_per_day      value  A day
--   full_bytes         value  When full
--   rows               value  Rows [short]
--   since              time   Since
--   retention_seconds  value  Kept [dtdurations]
select
  case when s.metric = '' then 'everything else' else s.metric end as metric,
  s.part,
  s.total_bytes,
  s.bytes_per_day,
  s.full_bytes,
  s.rows,
  s.since,
  s.retention_seconds
from monitoring.store_size as s
order by s.total_bytes desc, s.metric, s.part
limit 50
