-- The history's size
--
-- How large the schema `monitoring` is now, what comes a day, and what it will be if as much goes on coming: in 30 days,
-- in a year, and when every tier is full and as much goes as comes. Of the whole store, whatever targets are chosen.
--
-- kind: stat
-- unit: bytes
-- needs: store_size
-- size: 24x6
-- instant: yes
-- columns:
--   total_bytes       value  Now
--   bytes_per_day     value  Written a day
--   in_30_days_bytes  value  In 30 days
--   in_a_year_bytes   value  In a year
--   full_bytes        value  When full
select
  sum(s.total_bytes) as total_bytes,
  sum(s.bytes_per_day) as bytes_per_day,
  sum(s.in_30_days_bytes) as in_30_days_bytes,
  sum(s.in_a_year_bytes) as in_a_year_bytes,
  sum(s.full_bytes) filter (where s.retention_seconds is not null)
    + sum(s.total_bytes) filter (where s.retention_seconds is null) as full_bytes
from monitoring.store_size as s
