-- How many of the blocks that were asked for were found in the buffer cache, by database.
--
-- Over each interval, never over the lifetime: a lifetime's ratio hides incidents. NULL where no block was asked
-- for.
--
-- needs: stat_database
-- columns:
--   time             end of the interval; start of the bucket in coarser tiers
--   tier             resolution
--   target           target
--   datname          database
--   blks_hit         blocks found in the cache
--   blks_read        blocks read
--   cache_hit_ratio  blks_hit / (blks_hit + blks_read), 0 to 1
--   quality          0 good; bits: 1 partial (a lower bound), 2 unknown, 4 gap
select
  d.time,
  d.tier,
  d.target,
  d.datname,
  d.blks_hit,
  d.blks_read,
  d.blks_hit::double precision / nullif(d.blks_hit + d.blks_read, 0) as cache_hit_ratio,
  d.quality
from monitoring.stat_database as d
