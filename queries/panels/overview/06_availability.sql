-- Up and down
--
-- Whether each target answered the agent's polls. Partly: some polls of that hour were lost, and some were not. No data:
-- nobody looked, which says nothing about the database. Every poll is shown for up to 6 hours, whole hours beyond; it
-- goes back as far as the log of the polls is kept (7 days in production).
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
with known as (
  select
    a.time,
    a.target,
    case when a.lost = 0 then 1 when a.polls = 0 then 0 else 2 end as state,
    case when a.tier = 'raw' then a.time + 3 * a.interval_seconds * interval '1 second' else a.time + interval '1 hour' end as until,
    lag(case when a.lost = 0 then 1 when a.polls = 0 then 0 else 2 end) over w as before,
    lag(case when a.tier = 'raw' then a.time + 3 * a.interval_seconds * interval '1 second' else a.time + interval '1 hour' end) over w as known_until,
    lead(a.time) over w as next
  from monitoring.availability as a
  where a.tier = case
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '6 hours' then 'raw'
      else '1h'
    end
    and a.time >= case
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '6 hours' then $__timeFrom()::timestamptz
      else date_bin('1 hour', $__timeFrom()::timestamptz, timestamptz 'epoch')
    end
    and a.time < $__timeTo()::timestamptz
    and a.target in ($target)
  window w as (partition by a.target order by a.time)
)
select greatest(k.time, $__timeFrom()::timestamptz) as time, k.target, k.state
from known as k
where k.state is distinct from k.before or k.time > k.known_until
union all
select k.until, k.target, null
from known as k
where k.next > k.until or (k.next is null and k.until < $__timeTo()::timestamptz)
order by 1, 2
