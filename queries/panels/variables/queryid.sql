-- Statement
--
-- The 500 statements of the target that took most time in the range, by their query ID, the first of them first.
--
-- needs: stat_statements
-- of_range: yes
select s.queryid::text as queryid
from monitoring.top_statements(
  ${target:sqlstring}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, 'total_exec_time', 500, '{}'
) as s
group by s.queryid
order by max(s.total_exec_time) desc, s.queryid
