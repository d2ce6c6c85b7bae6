-- How many polls of each target reached it, and how many did not: what its availability, as the agent sees it, is made of.
--
-- Availability is polls / (polls + lost). Where there is no row nobody looked, and nothing is known. It goes back as far
-- as the log of the snapshots does, which is kept as long as minutes are. There are two tiers: raw has every poll, 1h
-- whole hours up to now.
--
-- needs: server
-- columns:
--   time              time of the poll; start of the hour
--   tier              raw or 1h
--   target            target
--   polls             polls that reached it
--   lost              polls that could not reach it, or met another server
--   interval_seconds  from one poll to the next, as configured: what a lost poll stands for
select
  l.ts as time,
  'raw'::text as tier,
  t.name as target,
  (l.status not in ('unreachable', 'refused'))::integer as polls,
  (l.status in ('unreachable', 'refused'))::integer as lost,
  l.nominal_interval_seconds::double precision as interval_seconds
from monitoring.snapshot_log as l
join monitoring.metric as m using (metric_id)
join monitoring.target as t using (target_id)
where m.name = 'server'
union all
-- An hour with as many good polls as it has slots has lost none: its log need not be read.
select h.time, '1h'::text, t.name, h.polls, h.lost, h.interval_seconds
from monitoring.metric as m
cross join monitoring.target as t
cross join lateral (
  select date_trunc('hour', l.ts, 'UTC') as since
  from monitoring.snapshot_log as l
  where l.metric_id = m.metric_id and l.target_id = t.target_id
  order by l.ts
  limit 1
) as first
cross join lateral (
  select l.nominal_interval_seconds::double precision as interval_seconds
  from monitoring.snapshot_log as l
  where l.metric_id = m.metric_id and l.target_id = t.target_id
  order by l.ts desc
  limit 1
) as latest
cross join lateral (
  with hours as (
    select
      c.ts,
      c.polls,
      c.polls = round(3600 / latest.interval_seconds) as is_full,
      lead(c.ts) over (order by c.ts) as next
    from (
      -- The hour before the first, which has nothing to tell.
      select first.since - interval '1 hour' as ts, round(3600 / latest.interval_seconds)::bigint as polls
      union all
      select c.ts, sum(c.polls)
      from monitoring.coverage_1h as c
      where c.metric_id = m.metric_id and c.target_id = t.target_id and c.ts >= first.since
      group by c.ts
    ) as c
  )
  select c.ts as time, c.polls, 0::bigint as lost, latest.interval_seconds
  from hours as c
  where c.is_full and c.ts >= first.since
  union all
  select g.*
  from hours as c
  cross join lateral (
    select
      date_trunc('hour', l.ts, 'UTC'),
      count(*) filter (where l.status not in ('unreachable', 'refused')),
      count(*) filter (where l.status in ('unreachable', 'refused')),
      max(l.nominal_interval_seconds)::double precision
    from monitoring.snapshot_log as l
    where l.metric_id = m.metric_id
      and l.target_id = t.target_id
      and l.ts >= case when c.is_full then c.ts + interval '1 hour' else c.ts end
      and l.ts < coalesce(c.next, 'infinity')
    group by 1
  ) as g
  where not c.is_full or c.next is null or c.ts + interval '1 hour' < c.next
) as h
where m.name = 'server'
