-- Availability, as the agent sees it
--
-- The share of the polls that reached the database, all databases together, and of the worst of them; and the time for
-- which polls failed, summed over the databases. Watched is the share of the time range of which this is known: hours in
-- which nobody polled are not, nor what is older than hours are kept (a year in production). 99.9 % a month is 43
-- minutes.
--
-- kind: stat
-- unit: none
-- needs: targets, availability
-- size: 10x6
-- decimals: 2
-- columns:
--   availability_ratio  value  Available [percentunit]  thresholds: critical, 0.99 warning, 0.999 success
--   worst_ratio         value  Worst database [percentunit]  thresholds: critical, 0.99 warning, 0.999 success
--   down_seconds        value  Down in sum [s]  thresholds: success, 60 warning
--   watched_ratio       value  Watched [percentunit]  thresholds: warning, 0.99 success
select
  sum(p.polls * p.interval_seconds) / nullif(sum((p.polls + p.lost) * p.interval_seconds), 0) as availability_ratio,
  min(p.polls / nullif(p.polls + p.lost, 0))::double precision as worst_ratio,
  sum(p.lost * p.interval_seconds) as down_seconds,
  case when count(p.polls) > 0 then least(
    sum((p.polls + p.lost) * p.interval_seconds)
      / nullif(count(*) * extract(epoch from $__timeTo()::timestamptz - case
        when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '6 hours' then $__timeFrom()::timestamptz
        else date_bin('1 hour', $__timeFrom()::timestamptz, timestamptz 'epoch')
      end)::double precision, 0),
    1
  ) end as watched_ratio
from (
  select
    t.target,
    sum(a.polls) as polls,
    sum(a.lost) as lost,
    (sum((a.polls + a.lost) * a.interval_seconds) / nullif(sum(a.polls + a.lost), 0))::double precision as interval_seconds
  from monitoring.targets as t
  left join monitoring.availability as a
    on a.target = t.target
    and a.tier = case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '6 hours' then 'raw' else '1h' end
    and a.time >= case
      when $__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '6 hours' then $__timeFrom()::timestamptz
      else date_bin('1 hour', $__timeFrom()::timestamptz, timestamptz 'epoch')
    end
    and a.time < $__timeTo()::timestamptz
  where t.target in ($target)
  group by t.target
) as p
