-- Size by metric
--
-- The ten metrics with the largest history, all tiers, indexes and texts together.
--
-- kind: bar
-- unit: bytes
-- needs: store_size
-- size: 12x12
-- min: 0
-- instant: yes
-- columns:
--   metric       label  Metric
--   total_bytes  value  Size
select
  case when s.metric = '' then 'everything else' else s.metric end as metric,
  sum(s.total_bytes) as total_bytes
from monitoring.store_size as s
group by 1
order by 2 desc, 1
limit 10
