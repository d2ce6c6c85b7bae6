-- Size of each database
--
-- All files of the eight largest databases, and of the others together, as pg_database_size() has it every 10 minutes.
--
-- kind: timeseries
-- unit: bytes
-- needs: database_size
-- size: 12x8
-- min: 0
-- stack: yes
-- columns:
--   time        time
--   datname     label  Database
--   size_bytes  value  Size
with found as materialized (
  select date_bin('$__interval_ms ms', x.time, timestamptz 'epoch') as time, x.datname, avg(x.size_bytes) as size_bytes
  from monitoring.database_size as x
  where x.tier = monitoring.tier('database_size', $__interval_ms, $__timeFrom()::timestamptz)
    and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
    and x.target = ${target:sqlstring}
    and x.datname not in ('template0', 'template1')
  group by 1, 2
), top as (
  select f.datname from found as f group by 1 order by max(f.size_bytes) desc nulls last, 1 limit 8
)
select
  f.time,
  case when f.datname in (select t.datname from top as t) then f.datname else 'all others' end as datname,
  sum(f.size_bytes) as size_bytes
from found as f
group by 1, 2
order by 1, 2
