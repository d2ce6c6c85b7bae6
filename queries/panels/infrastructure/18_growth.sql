-- Growth of each database
--
-- Size at the end of the time range, and how much it grew from the first to the last reading in it; the rate a day is
-- that growth over the time between these two readings. The fastest first.
--
-- kind: table
-- unit: bytes
-- needs: database_size
-- size: 12x8
-- columns:
--   datname               label  Database
--   size_bytes            value  Size [bytes]
--   growth_bytes          value  Grown [bytes]
--   growth_bytes_per_day  value  A day [bytes]
select
  g.datname,
  g.size_bytes,
  g.size_bytes - g.before as growth_bytes,
  (g.size_bytes - g.before) * 86400
    / nullif(extract(epoch from g.until - g.since)::double precision, 0) as growth_bytes_per_day
from (
  select
    x.datname,
    (array_agg(x.size_bytes order by x.time desc))[1] as size_bytes,
    (array_agg(x.size_bytes order by x.time))[1] as before,
    min(x.time) as since,
    max(x.time) as until
  from monitoring.database_size as x
  where x.tier = monitoring.tier('database_size', $__interval_ms, $__timeFrom()::timestamptz)
    and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
    and x.target = ${target:sqlstring}
    and x.datname not in ('template0', 'template1')
  group by 1
) as g
order by 3 desc nulls last, 1
limit 50
