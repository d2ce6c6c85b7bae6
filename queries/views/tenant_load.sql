-- Load, size and growth of each tenant, and its share of all.
--
-- The load is rows read and written a second, over the seconds that were watched: NULL where an interval is not known.
-- The growth is over the day before, out of the hours: NULL until there is one, and where nothing tells the size.
-- Sizes and sessions are means of a bucket in coarser tiers.
--
-- needs: tenant_activity
-- columns:
--   time                  end of the interval; start of the bucket in coarser tiers
--   tier                  resolution
--   target                target
--   tenant                tenant; `other` for those beyond the first 2,000
--   load                  rows read and written a second
--   share                 of the load of all tenants of the target, 0 to 1
--   sessions              sessions
--   active_sessions       of them, at work
--   size_bytes            tables with TOAST and indexes
--   growth_bytes_per_day  size_bytes less what it was in the hour 24 hours before
--   tup_read              rows read in the interval
--   tup_written           rows written in the interval
--   quality               0 good; bits: 1 partial (a lower bound), 2 unknown, 4 gap
select
  a.time,
  a.tier,
  a.target,
  a.tenant,
  (a.tup_read + a.tup_written) / nullif(a.covered_seconds, 0) as load,
  (a.tup_read + a.tup_written)::double precision
    / nullif(sum(a.tup_read + a.tup_written) over of_a_time, 0) as share,
  a.sessions,
  a.active_sessions,
  a.size_bytes,
  a.size_bytes - (
    select b.size_bytes
    from monitoring.tenant_activity as b
    where b.tier = '1h'
      and b.series_id = a.series_id
      and b.time = date_trunc('hour', a.time - interval '24 hours', 'UTC')
  ) as growth_bytes_per_day,
  a.tup_read,
  a.tup_written,
  a.quality
from monitoring.tenant_activity as a
window of_a_time as (partition by a.time, a.tier, a.target)
