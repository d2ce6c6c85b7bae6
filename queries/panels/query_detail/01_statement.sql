-- The statement, its users and databases
--
-- The text as pg_stat_statements normalizes it, with $1 in place of values, and what it did in the range for each user
-- and database. A nested row runs inside a function. A text that was not fetched yet is missing.
--
-- kind: table
-- unit: short
-- needs: statements
-- size: 24x8
-- columns:
--   query            label  Text  width: 700
--   usename          label  User
--   datname          label  Database
--   nested           label  Nested
--   calls            value  Calls
--   total_exec_time  value  Total time [ms]
--   mean_exec_time   value  Mean [ms]
--   rows             value  Rows
select
  s.query,
  s.usename,
  s.datname,
  case when not s.toplevel then 'in a function' end as nested,
  sum(s.calls)::bigint as calls,
  sum(s.total_exec_time) as total_exec_time,
  sum(s.total_exec_time) / nullif(sum(s.calls), 0)::double precision as mean_exec_time,
  sum(s.rows)::bigint as rows
from monitoring.statements as s
where s.tier = monitoring.tier('stat_statements', $__interval_ms, $__timeFrom()::timestamptz)
  and s.time >= $__timeFrom()::timestamptz and s.time < $__timeTo()::timestamptz
  and s.target = ${target:sqlstring}
  and s.queryid = least(greatest(substring(${queryid:sqlstring} from '^-?[0-9]{1,19}$')::numeric, -9223372036854775808), 9223372036854775807)::bigint
group by s.query, s.usename, s.datname, s.toplevel
order by sum(s.total_exec_time) desc nulls last, s.usename, s.datname
limit 50
