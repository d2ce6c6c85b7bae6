-- Temporary files
--
-- What sorts, hashes and the like wrote to temporary files because it did not fit into work_mem, in bytes a second, of
-- the eight databases that wrote most. It is counted when the file is closed, so that a long sort shows at its end.
--
-- kind: timeseries
-- unit: binBps
-- needs: stat_database, coverage
-- size: 8x8
-- min: 0
-- columns:
--   time        time
--   datname     label  Database
--   temp_bytes  value  Written
with found as materialized (
  select d.time, d.datname, d.temp_bytes / nullif(c.seconds, 0) as rate
  from (
    select date_bin('$__interval_ms ms', x.time, timestamptz 'epoch') as time, x.datname, sum(x.temp_bytes)::double precision as temp_bytes
    from monitoring.stat_database as x
    where x.tier = monitoring.tier('stat_database', $__interval_ms, $__timeFrom()::timestamptz)
      and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
      and x.target = ${target:sqlstring}
      and x.datname not in ('template0', 'template1', '(shared)')
    group by 1, 2
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
), top as (
  select f.datname from found as f group by 1 order by sum(f.rate) desc nulls last, 1 limit 8
)
select
  f.time,
  case when f.datname in (select t.datname from top as t) then f.datname else 'all others' end as datname,
  sum(f.rate) as temp_bytes
from found as f
group by 1, 2
order by 1, 2
