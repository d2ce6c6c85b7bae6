-- Where its time goes
--
-- Executions at a time, split: planning, reading blocks, writing blocks, and the rest, which is the processor and waits.
-- Reading and writing are known only where track_io_timing is on, planning where track_planning is; else all is rest.
--
-- kind: timeseries
-- unit: short
-- needs: stat_statements, coverage
-- size: 12x8
-- min: 0
-- stack: yes
-- columns:
--   time  time
--   rest      value  Processor and waits
--   reading   value  Reading
--   writing   value  Writing
--   planning  value  Planning
select
  w.time,
  case when f.time is null then 0 when f.executing is not null then greatest(f.executing - f.reading - f.writing, 0) end
    / 1000 / w.covered_seconds as rest,
  case when f.time is null then 0 else f.reading end / 1000 / w.covered_seconds as reading,
  case when f.time is null then 0 else f.writing end / 1000 / w.covered_seconds as writing,
  case when f.time is null then 0 else f.planning end / 1000 / w.covered_seconds as planning
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
    sum(s.total_exec_time) as executing,
    sum(s.total_plan_time) as planning,
    sum(s.shared_blk_read_time + coalesce(s.local_blk_read_time, 0) + coalesce(s.temp_blk_read_time, 0)) as reading,
    sum(s.shared_blk_write_time + coalesce(s.local_blk_write_time, 0) + coalesce(s.temp_blk_write_time, 0)) as writing
  from monitoring.stat_statements as s
  where s.tier = monitoring.tier('stat_statements', $__interval_ms, $__timeFrom()::timestamptz)
    and s.time >= $__timeFrom()::timestamptz and s.time < $__timeTo()::timestamptz
    and s.target = ${target:sqlstring}
    and s.queryid = least(greatest(substring(${queryid:sqlstring} from '^-?[0-9]{1,19}$')::numeric, -9223372036854775808), 9223372036854775807)::bigint
  group by 1
) as f using (time)
order by 1
