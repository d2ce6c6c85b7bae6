-- Up and down
--
-- Whether each target answered the agent's polls. Partly: some polls of that stretch were lost, and some were not. Where
-- there is no data nobody looked, which says nothing about the database. It goes back as far as hours are kept (a year in
-- production); a stretch is two days long beyond 100 days.
--
-- kind: state-timeline
-- unit: none
-- needs: availability
-- size: 24x12
-- states: 0 critical Down, 1 success Up, 2 warning Partly
-- columns:
--   time    time
--   target  label  Target
--   state   value  State
with known as materialized (
  select
    date_bin(case
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '1 hour' then interval '2 minutes'
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '6 hours' then interval '5 minutes'
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '3 days' then interval '1 hour'
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '10 days' then interval '4 hours'
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '100 days' then interval '12 hours'
      else interval '48 hours'
    end, a.time, timestamptz 'epoch') as time,
    a.target,
    sum(a.polls) as polls,
    sum(a.lost) as lost
  from monitoring.availability as a
  where a.tier = case
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '6 hours' then 'raw'
      else '1h'
    end
    and a.time >= date_bin(case
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '1 hour' then interval '2 minutes'
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '6 hours' then interval '5 minutes'
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '3 days' then interval '1 hour'
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '10 days' then interval '4 hours'
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '100 days' then interval '12 hours'
      else interval '48 hours'
    end, $__timeFrom()::timestamptz, timestamptz 'epoch')
    and a.time < $__timeTo()::timestamptz
    and a.target in ($target)
  group by 1, 2
)
select
  greatest(g.at, $__timeFrom()::timestamptz) as time,
  t.target,
  case when k.lost = 0 then 1 when k.polls = 0 then 0 when k.lost > 0 then 2 end as state
from generate_series(
  (select min(x.time) from known as x),
  (select max(x.time) from known as x),
  case
    when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '1 hour' then interval '2 minutes'
    when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '6 hours' then interval '5 minutes'
    when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '3 days' then interval '1 hour'
    when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '10 days' then interval '4 hours'
    when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '100 days' then interval '12 hours'
    else interval '48 hours'
  end
) as g (at)
cross join (select distinct x.target from known as x) as t
left join known as k on k.time = g.at and k.target = t.target
order by 1, 2
