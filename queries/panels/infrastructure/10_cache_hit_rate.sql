-- Cache hit rate
--
-- Share of the blocks that were asked for and found in PostgreSQL's own buffer cache, of the eight databases that ask
-- for most; what it had to read may still have come from the operating system's cache. A rule of thumb for short
-- transactions is 99 %. A fall after a restart is a cold cache; one that lasts is a new query or a working set that has
-- outgrown shared_buffers.
--
-- kind: timeseries
-- unit: percentunit
-- needs: cache_hit_rate
-- size: 12x8
-- max: 1
-- decimals: 1
-- columns:
--   time             time
--   datname          label  Database
--   cache_hit_ratio  value  Cache hit rate
with found as materialized (
  select date_bin('$__interval_ms ms', x.time, timestamptz 'epoch') as time, x.datname, sum(x.blks_hit) as hits, sum(x.blks_read) as reads
  from monitoring.cache_hit_rate as x
  where x.tier = monitoring.tier('cache_hit_rate', $__interval_ms, $__timeFrom()::timestamptz)
    and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
    and x.target = ${target:sqlstring}
    and x.datname not in ('template0', 'template1', '(shared)')
  group by 1, 2
), top as (
  select f.datname from found as f group by 1 order by sum(f.hits + f.reads) desc nulls last, 1 limit 8
)
select
  f.time,
  case when f.datname in (select t.datname from top as t) then f.datname else 'all others' end as datname,
  (sum(f.hits) / nullif(sum(f.hits + f.reads), 0))::double precision as cache_hit_ratio
from found as f
group by 1, 2
order by 1, 2
