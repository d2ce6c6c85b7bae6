-- Size of all databases
--
-- All files of all databases, summed: the mean of an hour for each hour, day, or week, by the length of the time range;
-- where a reading is missing, the last known one. In the first hours of a history it is the mean of what there is. What
-- disks and backups have to hold.
--
-- kind: timeseries
-- unit: bytes
-- needs: targets, database_size
-- size: 12x8
-- min: 0
-- columns:
--   time        time
--   size_bytes  value  Size
select greatest(k.at, $__timeFrom()::timestamptz) as time, sum(k.size_bytes) as size_bytes
from (
  select
    n.at,
    n.target,
    max(n.size_bytes) over (partition by n.target, n.number) as size_bytes
  from (
    select
      g.at,
      t.target,
      d.size_bytes,
      count(d.size_bytes) over (partition by t.target order by g.at) as number
    from generate_series(
      date_bin(case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '90 days' then interval '7 days' when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days' then interval '24 hours' else interval '1 hour' end, $__timeFrom()::timestamptz, timestamptz 'epoch'),
      $__timeTo()::timestamptz - interval '1 us',
      case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '90 days' then interval '7 days' when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days' then interval '24 hours' else interval '1 hour' end
    ) as g (at)
    cross join monitoring.targets as t
    left join (
      select x.time, x.target, sum(x.size_bytes) as size_bytes
      from generate_series(
        date_bin(case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '90 days' then interval '7 days' when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days' then interval '24 hours' else interval '1 hour' end, $__timeFrom()::timestamptz, timestamptz 'epoch'),
        $__timeTo()::timestamptz - interval '1 us',
        case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '90 days' then interval '7 days' when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days' then interval '24 hours' else interval '1 hour' end
      ) as s (at)
      join monitoring.database_size as x
        on x.time = s.at
        and x.tier = '1h'
        and monitoring.tier('database_size', 3600000, $__timeFrom()::timestamptz) = '1h'
        and x.time >= date_bin(case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '90 days' then interval '7 days' when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days' then interval '24 hours' else interval '1 hour' end, $__timeFrom()::timestamptz, timestamptz 'epoch') and x.time < $__timeTo()::timestamptz
      group by 1, 2
      union all
      select y.time, y.target, avg(y.size_bytes)
      from (
        select
          date_bin(case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '90 days' then interval '7 days' when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days' then interval '24 hours' else interval '1 hour' end, x.time, timestamptz 'epoch') as time,
          x.time as at,
          x.target,
          sum(x.size_bytes) as size_bytes
        from monitoring.database_size as x
        where x.tier = monitoring.tier('database_size', 3600000, $__timeFrom()::timestamptz)
          and x.tier <> '1h'
          and x.time >= date_bin(case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '90 days' then interval '7 days' when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days' then interval '24 hours' else interval '1 hour' end, $__timeFrom()::timestamptz, timestamptz 'epoch') and x.time < $__timeTo()::timestamptz
        group by 1, 2, 3
      ) as y
      group by 1, 2
    ) as d on d.time = g.at and d.target = t.target
    where t.target in ($target)
  ) as n
) as k
group by 1
having count(k.size_bytes) > 0
order by 1
