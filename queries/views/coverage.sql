-- How much of the time each metric was watched on each target: what a rate is divided by, and what a chart may trust.
--
-- In a metric's finest tier a row stands for a snapshot, and covers the interval since the one before it; in the others
-- for a bucket. A counter's rate is the sum of its differences divided by the sum of covered_seconds over the same rows.
-- covered_seconds can be more than a bucket is long: an interval counts where it ends, as its differences do.
--
-- columns:
--   time             time of the snapshot; start of the bucket in coarser tiers
--   tier             resolution
--   target           target
--   metric           metric
--   polls            good snapshots
--   covered_seconds  sum of their intervals; a first snapshot has none
select
  c.ts as time,
  c.tier,
  t.name as target,
  m.name as metric,
  c.polls,
  c.covered_seconds
from (
  select l.ts, x.tier, l.target_id, l.metric_id, 1 as polls, coalesce(l.interval_seconds, 0)::double precision as covered_seconds
  from monitoring.snapshot_log as l
  join monitoring.metric as x using (metric_id)
  where l.status = 'ok'
  union all
  select ts, '1m', target_id, metric_id, polls, covered_seconds from monitoring.coverage_1m
  union all
  select ts, '5m', target_id, metric_id, polls, covered_seconds from monitoring.coverage_5m
  union all
  select ts, '1h', target_id, metric_id, polls, covered_seconds from monitoring.coverage_1h
  union all
  select ts, '1d', target_id, metric_id, polls, covered_seconds from monitoring.coverage_1d
) as c
join monitoring.target as t using (target_id)
join monitoring.metric as m using (metric_id)
