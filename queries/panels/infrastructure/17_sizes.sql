-- Size of each database
--
-- All files of each database, as pg_database_size() has it, read every 10 minutes.
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
select date_bin('$__interval_ms ms', x.time, timestamptz 'epoch') as time, x.datname, avg(x.size_bytes) as size_bytes
from monitoring.database_size as x
where x.tier = monitoring.tier('database_size', $__interval_ms, $__timeFrom()::timestamptz)
  and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
  and x.target = ${target:sqlstring}
  and x.datname not in ('template0', 'template1')
group by 1, 2
order by 1, 2
