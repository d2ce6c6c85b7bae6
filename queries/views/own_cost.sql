-- What the agent's own statements cost on each target: as self_cost, but without the time of all others, and so quicker.
--
-- The rows are those of self_cost. Nothing but the agent's statements is read for it, so that it answers for a month of
-- a fleet at once. Divide by the covered seconds of stat_statements in `coverage` for a rate.
--
-- needs: stat_statements, server, own_statement
-- columns:
--   time             end of the interval; in coarser tiers the start of the bucket
--   tier             resolution: choose one
--   target           target
--   part             poll: reads the target; store: writes the history, where that is on the same server
--   metric           metric that was read, or probe, begin, describe, texts; '' for other statements
--   calls            statements
--   total_exec_time  time spent executing [ms]
--   total_plan_time  time spent planning, where the server tracks it [ms]
--   quality          0 good; bits: 1 partial, 2 unknown, 4 gap
with own as materialized (
  -- A text is looked at once for each statement, and not for each of its intervals.
  select o.series_id, o.target_id, o.part, o.metric from monitoring.own_statement as o
)
select
  s.time,
  s.tier,
  s.target,
  o.part,
  o.metric,
  case when count(s.calls) = count(*) then sum(s.calls)::bigint end as calls,
  case when count(s.total_exec_time) = count(*) then sum(s.total_exec_time) end as total_exec_time,
  case when count(s.total_plan_time) = count(*) then sum(s.total_plan_time) end as total_plan_time,
  bit_or(s.quality) as quality
from own as o
join monitoring.stat_statements as s on s.series_id = o.series_id
where not exists (
  select
  from monitoring.server_attributes as a
  join monitoring.server_series as k on k.series_id = a.series_id
  where k.target_id = o.target_id
    and a.pg_stat_statements_track_utility = 'off'
    and a.server_version_num >= 170000
    and s.time >= a.valid_from
    and s.time < a.valid_to
)
group by s.time, s.tier, s.target, o.part, o.metric
