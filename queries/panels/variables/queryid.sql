-- Statement
--
-- The statements of the target that took time in the range, by their query ID, those with the most time first.
--
-- needs: stat_statements
-- of_range: yes
select s.queryid::text as queryid
from monitoring.top_statements(
  ${target:sqlstring}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, 'total_exec_time', 1000, '{}'
) as s
group by s.queryid
order by max(s.total_exec_time) desc, s.queryid
