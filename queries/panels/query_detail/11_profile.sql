-- Share of its time
--
-- Which part of the statement's planning and execution time in the range went into planning, reading blocks, writing
-- blocks, and the rest, which is the processor and waits. It does not depend on the plan. Reading and writing are known
-- only where track_io_timing is on, planning where track_planning is.
--
-- kind: bar
-- unit: percentunit
-- needs: stat_statements
-- size: 12x8
-- min: 0
-- max: 1
-- columns:
--   part   label  Part
--   share  value  Share of its time
select
  p.part,
  p.time / nullif(p.whole, 0) as share
from (
  select
    sum(s.total_exec_time + s.total_plan_time) as whole,
    sum(s.total_exec_time) as executing,
    sum(s.total_plan_time) as planning,
    sum(s.shared_blk_read_time + coalesce(s.local_blk_read_time, 0) + coalesce(s.temp_blk_read_time, 0)) as reading,
    sum(s.shared_blk_write_time + coalesce(s.local_blk_write_time, 0) + coalesce(s.temp_blk_write_time, 0)) as writing
  from monitoring.stat_statements as s
  where s.tier = monitoring.tier('stat_statements', $__interval_ms, $__timeFrom()::timestamptz)
    and s.time >= $__timeFrom()::timestamptz and s.time < $__timeTo()::timestamptz
    and s.target = ${target:sqlstring}
    and s.queryid = least(greatest(substring(${queryid:sqlstring} from '^-?[0-9]{1,19}$')::numeric, -9223372036854775808), 9223372036854775807)::bigint
) as f
cross join lateral (
  values
    (1, 'Processor and waits', case when f.executing is not null then greatest(f.executing - f.reading - f.writing, 0) end, f.whole),
    (2, 'Reading blocks', f.reading, f.whole),
    (3, 'Writing blocks', f.writing, f.whole),
    (4, 'Planning', f.planning, f.whole)
) as p (place, part, time, whole)
where p.whole is not null
order by p.place
