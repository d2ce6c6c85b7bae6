-- Blocks read and found in the cache
--
-- Blocks a second that were found in the buffer cache, and that had to be read from below it, all databases together.
-- Reads that grow while hits do not are a sequential scan or a cold cache.
--
-- kind: timeseries
-- unit: short
-- needs: stat_database, coverage
-- size: 12x8
-- min: 0
-- columns:
--   time   time
--   hits   value  Found in the cache, a second
--   reads  value  Read, a second
select d.time, d.hits / nullif(c.seconds, 0) as hits, d.reads / nullif(c.seconds, 0) as reads
from (
  select
    date_bin('$__interval_ms ms', x.time, timestamptz 'epoch') as time,
    sum(x.blks_hit)::double precision as hits,
    sum(x.blks_read)::double precision as reads
  from monitoring.stat_database as x
  where x.tier = monitoring.tier('stat_database', $__interval_ms, $__timeFrom()::timestamptz)
    and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
    and x.target = ${target:sqlstring}
  group by 1
) as d
join (
  select date_bin('$__interval_ms ms', x.time, timestamptz 'epoch') as time, sum(x.covered_seconds) as seconds
  from monitoring.coverage as x
  where x.metric = 'stat_database'
    and x.tier = monitoring.tier('stat_database', $__interval_ms, $__timeFrom()::timestamptz)
    and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
    and x.target = ${target:sqlstring}
  group by 1
) as c on c.time = d.time
order by 1
