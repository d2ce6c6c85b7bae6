-- How many polls of each target reached it, and how many did not: what its availability, as the agent sees it, is made of.
--
-- Availability is polls / (polls + lost). Where there is no row nobody looked, or it was not kept yet what was lost, and
-- nothing is known; a reading that failed on a server that was reached tells nothing either. What is not rolled up yet
-- is counted in the log, so that the coarser tiers go up to now.
--
-- needs: server, coverage
-- columns:
--   time              time of the poll; start of the bucket in coarser tiers
--   tier              resolution: choose one
--   target            target
--   polls             polls that reached it
--   lost              polls that could not reach it, or met another server
--   interval_seconds  what a poll stands for: the time from one to the next, as configured; in a rolled-up bucket as last configured, and less where more polls than that fit into it
with paced as materialized (
  select
    t.target_id,
    t.name as target,
    m.metric_id,
    coalesce(
      (
        select l.nominal_interval_seconds
        from monitoring.snapshot_log as l
        where l.metric_id = m.metric_id and l.target_id = t.target_id
        order by l.ts desc
        limit 1
      ),
      m.interval_seconds
    )::double precision as interval_seconds
  from monitoring.metric as m
  cross join monitoring.target as t
  where m.name = 'server'
)
select
  l.ts as time,
  'raw'::text as tier,
  t.name as target,
  (l.status = 'ok')::integer as polls,
  (l.status <> 'ok')::integer as lost,
  l.nominal_interval_seconds::double precision as interval_seconds
from monitoring.snapshot_log as l
join monitoring.metric as m using (metric_id)
join monitoring.target as t using (target_id)
where m.name = 'server' and l.status in ('ok', 'unreachable', 'refused')
union all
select
  c.time,
  c.tier,
  c.target,
  c.polls,
  c.lost,
  -- One poll may stand for more than a bucket.
  least(
    p.interval_seconds,
    case c.tier when '1m' then 60 when '5m' then 300 when '1h' then 3600 else 86400 end::double precision
      / nullif(c.polls + c.lost, 1)
  )
from monitoring.coverage as c
join paced as p on p.target = c.target
where c.metric = 'server' and c.tier <> 'raw' and c.lost is not null
union all
select w.time, r.tier, p.target, w.polls, w.lost, w.interval_seconds
from monitoring.rollup as r
join paced as p on p.metric_id = r.metric_id
cross join lateral (
  select
    date_bin(
      case r.tier when '1m' then interval '1 minute' when '5m' then interval '5 minutes' when '1h' then interval '1 hour' else interval '1 day' end,
      l.ts,
      '2000-01-01 00:00:00+00'
    ) as time,
    count(*) filter (where l.status = 'ok') as polls,
    count(*) filter (where l.status <> 'ok') as lost,
    max(l.nominal_interval_seconds)::double precision as interval_seconds
  from monitoring.snapshot_log as l
  where l.metric_id = r.metric_id
    and l.target_id = p.target_id
    and l.ts >= coalesce(r.watermark, '-infinity')
    and l.status in ('ok', 'unreachable', 'refused')
  group by 1
) as w
where r.tier <> 'raw'
