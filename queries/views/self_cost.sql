-- What the agent's own statements cost on each target, as the target's pg_stat_statements counts them.
--
-- A row for each of the agent's metrics (`part` is `poll`, `metric` its name), for what comes with every poll (`begin`,
-- `probe`, `describe`, `texts`), for statements of the polling role without a marker (''), and, where the store is on
-- the target's own server, for what it costs there to write (`part` is `store`). The figures are sums of an interval:
-- divide by covered_seconds for a rate.
--
-- Statements of the role that the agent polls with are counted: those that bear the marker `/* sbpgmon:NAME */`, and
-- the others too, since that role is to be the agent's own; of a superuser only those with the marker, since people use
-- it as well. To the store belong the statements of the owner of `monitoring` whose text names `monitoring.`; their
-- texts must be known for it. pg_stat_statements is of the whole server: where the agent polls several of its
-- databases, each of these targets has the cost of all. Top-level statements only: of COPY, where `track` is `all`, the
-- query inside is counted once more by the server, but not here.
--
-- There is no row where nothing is known: no pg_stat_statements, `pg_stat_statements.track` is `none`, or, from
-- PostgreSQL 17 on, `track_utility` is `off`, which hides COPY and the query inside. NULL where an interval is not
-- known.
--
-- needs: stat_statements, server, own_statement
-- columns:
--   time              end of the interval; in coarser tiers the start of the bucket
--   tier              resolution: choose one
--   target            target
--   part              poll: reads the target; store: writes the history, where that is on the same server
--   metric            metric that was read, or probe, begin, describe, texts; '' for other statements
--   calls             statements
--   total_exec_time   time spent executing [ms]
--   total_plan_time   time spent planning, where the server tracks it [ms]
--   shared_blks_hit   blocks found in the cache
--   shared_blks_read  blocks read
--   temp_blks_read    temporary blocks read
--   temp_blks_written temporary blocks written
--   all_time          execution and planning of all statements of the target, the same in every row of a time [ms]
--   share_ratio       (total_exec_time + total_plan_time) / all_time, 0 to 1
--   covered_seconds   seconds that were watched, the same in every row of a time
--   quality           0 good; bits: 1 partial, 2 unknown, 4 gap
select
  c.time,
  c.tier,
  c.target,
  c.part,
  c.metric,
  c.calls,
  c.total_exec_time,
  c.total_plan_time,
  c.shared_blks_hit,
  c.shared_blks_read,
  c.temp_blks_read,
  c.temp_blks_written,
  c.all_time,
  (c.total_exec_time + c.total_plan_time) / nullif(c.all_time, 0) as share_ratio,
  c.covered_seconds,
  c.quality
from (
  select
    l.time,
    l.tier,
    l.target,
    l.target_id,
    l.part,
    l.metric,
    -- One interval that is not known, and the sum is not known.
    case when l.part is not null and count(l.calls) = count(*) then sum(l.calls)::bigint end as calls,
    case when count(l.total_exec_time) = count(*) then sum(l.total_exec_time) end as total_exec_time,
    case when count(l.total_plan_time) = count(*) then sum(l.total_plan_time) end as total_plan_time,
    case when count(l.shared_blks_hit) = count(*) then sum(l.shared_blks_hit)::bigint end as shared_blks_hit,
    case when count(l.shared_blks_read) = count(*) then sum(l.shared_blks_read)::bigint end as shared_blks_read,
    case when count(l.temp_blks_read) = count(*) then sum(l.temp_blks_read)::bigint end as temp_blks_read,
    case when count(l.temp_blks_written) = count(*) then sum(l.temp_blks_written)::bigint end as temp_blks_written,
    case
      when sum(count(*) - count(l.total_exec_time)) over of_a_time = 0
      then sum(sum(l.total_exec_time + l.total_plan_time)) over of_a_time
    end as all_time,
    max(case when l.part is not null then l.covered_seconds end) as covered_seconds,
    bit_or(l.quality) as quality
  from (
    select s.*, o.part, o.metric
    from monitoring.stat_statements as s
    left join monitoring.own_statement as o on o.series_id = s.series_id and o.target_id = s.target_id
    where s.toplevel
  ) as l
  group by l.time, l.tier, l.target, l.target_id, l.part, l.metric
  window of_a_time as (partition by l.time, l.tier, l.target)
) as c
where c.part is not null
  and not exists (
    select
    from monitoring.server_attributes as a
    join monitoring.server_series as k on k.series_id = a.series_id
    where k.target_id = c.target_id
      and a.pg_stat_statements_track_utility = 'off'
      and a.server_version_num >= 170000
      and c.time >= a.valid_from
      and c.time < a.valid_to
  )
