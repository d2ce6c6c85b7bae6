-- How much of the time each metric was watched on each target: what a rate is divided by, and what a chart may trust.
--
-- In a metric's finest tier a row stands for a snapshot, and covers the interval since the one before it; in the others
-- for a bucket. A counter's rate is the sum of its differences divided by the sum of covered_seconds over the same rows.
-- covered_seconds can be more than a bucket is long: an interval counts where it ends, as its differences do. Where all
-- polls were lost, polls and covered_seconds are 0: ask for polls > 0 where a row has to mean that something was watched.
--
-- columns:
--   time             time of the snapshot; start of the bucket in coarser tiers
--   tier             resolution
--   target           target
--   metric           metric
--   polls            good snapshots
--   covered_seconds  sum of their intervals; a first snapshot has none
--   lost             snapshots that could not reach the target, or met another server; NULL where that was not kept yet
select
  l.ts as time,
  m.tier,
  t.name as target,
  m.name as metric,
  (l.status = 'ok')::integer as polls,
  coalesce(l.interval_seconds, 0)::double precision as covered_seconds,
  (l.status <> 'ok')::integer as lost
from monitoring.snapshot_log as l
join monitoring.metric as m using (metric_id)
join monitoring.target as t using (target_id)
where l.status in ('ok', 'unreachable', 'refused')
-- Each branch asks for its metric itself: one that is asked for by name, in a coarse tier, never reads the log.
union all
select
  c.ts,
  '1m',
  t.name,
  m.name,
  c.polls,
  c.covered_seconds,
  case when m.lost_known_since is null or c.ts >= m.lost_known_since then coalesce(c.lost, 0) end
from monitoring.coverage_1m as c
join monitoring.metric as m using (metric_id)
join monitoring.target as t using (target_id)
union all
select
  c.ts,
  '5m',
  t.name,
  m.name,
  c.polls,
  c.covered_seconds,
  case when m.lost_known_since is null or c.ts >= m.lost_known_since then coalesce(c.lost, 0) end
from monitoring.coverage_5m as c
join monitoring.metric as m using (metric_id)
join monitoring.target as t using (target_id)
union all
select
  c.ts,
  '1h',
  t.name,
  m.name,
  c.polls,
  c.covered_seconds,
  case when m.lost_known_since is null or c.ts >= m.lost_known_since then coalesce(c.lost, 0) end
from monitoring.coverage_1h as c
join monitoring.metric as m using (metric_id)
join monitoring.target as t using (target_id)
union all
select
  c.ts,
  '1d',
  t.name,
  m.name,
  c.polls,
  c.covered_seconds,
  case when m.lost_known_since is null or c.ts >= m.lost_known_since then coalesce(c.lost, 0) end
from monitoring.coverage_1d as c
join monitoring.metric as m using (metric_id)
join monitoring.target as t using (target_id)
