-- Server and settings
--
-- What the server said of itself at the last reading of the time range, as far as it explains the figures above:
-- without track_io_timing all I/O times are 0, without compute_query_id statements have no ID.
--
-- kind: table
-- unit: string
-- needs: server
-- size: 24x8
-- columns:
--   name   label  What  width: 300
--   value  label  Value
select f.name, f.value
from (
  select x.*
  from monitoring.server as x
  where x.tier = monitoring.tier('server', 15000, $__timeTo()::timestamptz - interval '2 hours')
    and x.time >= $__timeTo()::timestamptz - interval '2 hours' and x.time < $__timeTo()::timestamptz
    and x.target = ${target:sqlstring}
  order by x.time desc
  limit 1
) as s
cross join lateral (
  values
    (1, 'Version', s.version),
    (2, 'Started', to_char(s.postmaster_start_time at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')),
    (3, 'Role', case when s.in_recovery then 'standby' when not s.in_recovery then 'primary' end),
    (4, 'max_connections', s.max_connections::text),
    (5, 'shared_buffers', s.shared_buffers),
    (6, 'data_checksums', s.data_checksums),
    (7, 'track_io_timing', s.track_io_timing),
    (8, 'track_activities', s.track_activities),
    (9, 'compute_query_id', s.compute_query_id),
    (10, 'pg_stat_statements.max', s.pg_stat_statements_max),
    (11, 'pg_stat_statements.track', s.pg_stat_statements_track),
    (12, 'pg_stat_statements.track_utility', s.pg_stat_statements_track_utility)
) as f (place, name, value)
order by f.place
limit 50
