-- Availability, as the agent sees it
--
-- Polls that reached the database, of all polls in the time range: whole hours beyond 6 hours, as far back as these are
-- kept (a year in production). Down is the time that the lost polls stand for. Watched is the share of the time range in
-- which the agent polled at all: an availability of which half was watched is half known. 99.9 % is 43 minutes a month,
-- 99 % is 7 hours.
--
-- kind: table
-- unit: none
-- needs: availability, targets
-- size: 12x8
-- decimals: 2
-- columns:
--   target              label  Target  link: infrastructure
--   availability_ratio  value  Availability [percentunit]  thresholds: critical, 0.99 warning, 0.999 success
--   down_seconds        value  Down [s]
--   watched_ratio       value  Watched [percentunit]  thresholds: warning, 0.99 success
select l.target, l.availability_ratio, l.down_seconds, l.watched_ratio
from (
  select
    t.target,
    sum(a.polls)::double precision / nullif(sum(a.polls + a.lost), 0) as availability_ratio,
    sum(a.lost * a.interval_seconds)::double precision as down_seconds,
    least(
      coalesce(sum((a.polls + a.lost) * a.interval_seconds), 0)
        / extract(epoch from $__timeTo()::timestamptz - case
          when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '6 hours' then $__timeFrom()::timestamptz
          else date_bin('1 hour', $__timeFrom()::timestamptz, timestamptz 'epoch')
        end)::double precision,
      1
    ) as watched_ratio,
    sum(count(a.polls)) over () as polls
  from monitoring.targets as t
  left join monitoring.availability as a
    on a.target = t.target
    and a.tier = case
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '6 hours' then 'raw'
      else '1h'
    end
    and a.time >= case
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '6 hours' then $__timeFrom()::timestamptz
      else date_bin('1 hour', $__timeFrom()::timestamptz, timestamptz 'epoch')
    end
    and a.time < $__timeTo()::timestamptz
  where t.target in ($target)
  group by t.target
) as l
where l.polls > 0
order by 2, 1
limit 100
