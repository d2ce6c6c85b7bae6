-- Capacity: size and growth
--
-- The size of each target's databases at the end of the time range, and how fast it grew from its first to its last
-- reading there, in 30 days at that rate. The fastest first. A short time range says little of a month.
--
-- kind: table
-- unit: bytes
-- needs: database_size
-- size: 12x8
-- columns:
--   target                  label  Database  link: infrastructure
--   size_bytes              value  Size [bytes]
--   growth_bytes            value  Grown [bytes]
--   growth_bytes_per_month  value  A month [bytes]
--   growth_ratio_per_month  value  A month, of its size [percentunit]
select
  s.target,
  s.size_bytes,
  s.size_bytes - s.before as growth_bytes,
  (s.size_bytes - s.before) * 30 * 86400 / nullif(s.seconds, 0) as growth_bytes_per_month,
  (s.size_bytes - s.before) * 30 * 86400 / nullif(s.seconds, 0) / nullif(s.before, 0) as growth_ratio_per_month
from (
  select
    d.target,
    (array_agg(d.size_bytes order by d.time desc))[1] as size_bytes,
    (array_agg(d.size_bytes order by d.time))[1] as before,
    extract(epoch from max(d.time) - min(d.time))::double precision as seconds
  from (
    select x.time, x.target, sum(x.size_bytes) as size_bytes
    from (
      select s.at
      from generate_series(
        date_bin(case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '90 days' then interval '7 days' when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days' then interval '24 hours' else interval '1 hour' end, $__timeFrom()::timestamptz, timestamptz 'epoch'),
        $__timeTo()::timestamptz - interval '1 us',
        case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '90 days' then interval '7 days' when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days' then interval '24 hours' else interval '1 hour' end
      ) as s (at)
      union
      select s.at
      from generate_series(
        date_bin('1 hour', $__timeTo()::timestamptz - interval '3 hours', timestamptz 'epoch'), $__timeTo()::timestamptz - interval '1 us', interval '1 hour'
      ) as s (at)
    ) as g
    join monitoring.database_size as x
      on x.time = g.at
      and x.tier = '1h'
      and monitoring.tier('database_size', 3600000, $__timeFrom()::timestamptz) = '1h'
      and x.time >= date_bin(case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '90 days' then interval '7 days' when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days' then interval '24 hours' else interval '1 hour' end, $__timeFrom()::timestamptz, timestamptz 'epoch') and x.time < $__timeTo()::timestamptz
      and x.target in ($target)
    group by 1, 2
    union all
    select x.time, x.target, sum(x.size_bytes)
    from monitoring.database_size as x
    where x.tier = monitoring.tier('database_size', 3600000, $__timeFrom()::timestamptz)
      and x.tier <> '1h'
      and x.time >= $__timeFrom()::timestamptz and x.time < $__timeTo()::timestamptz
      and x.target in ($target)
    group by 1, 2
  ) as d
  group by 1
) as s
order by 4 desc nulls last, 1
limit 50
