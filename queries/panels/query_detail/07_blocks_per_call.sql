-- Blocks a call
--
-- Shared blocks that one call found in the cache, read, dirtied and wrote out itself. More blocks for the same rows mean
-- a worse plan or a bloated table; more read ones mean a colder cache.
--
-- kind: timeseries
-- unit: short
-- needs: stat_statements, coverage
-- size: 8x8
-- min: 0
-- columns:
--   time  time
--   hit      value  In the cache
--   read     value  Read
--   dirtied  value  Dirtied
--   written  value  Written
select
  w.time,
  f.hit / nullif(f.calls, 0) as hit,
  f.read / nullif(f.calls, 0) as read,
  f.dirtied / nullif(f.calls, 0) as dirtied,
  f.written / nullif(f.calls, 0) as written
from (
  select
    date_bin('$__interval_ms ms', c.time, timestamptz 'epoch') as time,
    nullif(sum(c.covered_seconds), 0) as covered_seconds
  from monitoring.coverage as c
  where c.metric = 'stat_statements'
    and c.tier = monitoring.tier('stat_statements', $__interval_ms, $__timeFrom()::timestamptz)
    and c.time >= $__timeFrom()::timestamptz and c.time < $__timeTo()::timestamptz
    and c.target = ${target:sqlstring}
  group by 1
) as w
left join (
  select
    date_bin('$__interval_ms ms', s.time, timestamptz 'epoch') as time,
    sum(s.calls)::double precision as calls,
    sum(s.shared_blks_hit)::double precision as hit,
    sum(s.shared_blks_read)::double precision as read,
    sum(s.shared_blks_dirtied)::double precision as dirtied,
    sum(s.shared_blks_written)::double precision as written
  from monitoring.stat_statements as s
  where s.tier = monitoring.tier('stat_statements', $__interval_ms, $__timeFrom()::timestamptz)
    and s.time >= $__timeFrom()::timestamptz and s.time < $__timeTo()::timestamptz
    and s.target = ${target:sqlstring}
    and s.queryid = least(greatest(substring(${queryid:sqlstring} from '^-?[0-9]{1,19}$')::numeric, -9223372036854775808), 9223372036854775807)::bigint
  group by 1
) as f using (time)
order by 1
