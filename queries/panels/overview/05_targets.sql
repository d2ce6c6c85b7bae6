-- Targets, the worst first
--
-- One row a target: those that are down come first, then those with urgent findings, failing readings, or connection
-- slots that run out. State, poll, readings and findings are as of now; connections are the last known of the time range;
-- cache hits, transactions, rollbacks and deadlocks are totals over all of it, in whole hours beyond 6 hours. 80 % and
-- 95 % of the slots are rules of thumb, and so is 99 % of cache hits where transactions are short: reports read more
-- from disk, and are well with less.
--
-- kind: table
-- unit: none
-- needs: targets, metric_health, rollups, stat_database, coverage, snapshot, connection_slots, finding, isolation
-- size: 24x12
-- instant: yes
-- columns:
--   target             label  Target  link: infrastructure; width: 170
--   state              value  State  states: 0 critical Down, 1 success Up, 2 critical Refused, 3 warning Silent; width: 80
--   poll_age_seconds   value  Last poll [s]
--   connections_ratio  value  Connections [percentunit]  thresholds: success, 0.8 warning, 0.95 critical; bar
--   cache_hit_ratio    value  Cache hits [percentunit]  thresholds: critical, 0.9 warning, 0.99 success
--   tps                value  Transactions [ops]
--   rollback_ratio     value  Rolled back [percentunit]
--   deadlocks          value  Deadlocks  thresholds: success, 1 warning
--   urgent_findings    value  P0 and P1 open  thresholds: success, 1 critical; link: security
--   isolation_ratio    value  Isolation [percentunit]  thresholds: critical, 0.9 warning, 1 success; link: security
--   unknown_ratio      value  Isolation unknown [percentunit]  thresholds: success, 0.001 warning; link: security
--   failing            value  Failing readings  thresholds: success, 1 warning; link: agent
--   stale              value  Stale readings  thresholds: success, 1 warning; link: agent
select
  t.target,
  case
    when t.is_refused then 2
    when t.last_poll < now() - interval '5 minutes' then 3
    else t.is_up::integer
  end as state,
  extract(epoch from now() - t.last_poll)::double precision as poll_age_seconds,
  s.connections_ratio,
  (d.blks_hit / nullif(d.blks_hit + d.blks_read, 0))::double precision as cache_hit_ratio,
  d.transactions::double precision / nullif(c.seconds, 0) as tps,
  (d.rollbacks / nullif(d.transactions, 0))::double precision as rollback_ratio,
  d.deadlocks,
  case when i.target is not null then coalesce(f.urgent_findings, 0) end as urgent_findings,
  i.isolation_ratio,
  i.unknown_ratio,
  h.failing,
  h.stale
from monitoring.targets as t
left join (
  select h.target, count(*) filter (where h.is_failing) as failing, count(*) filter (where h.is_stale) as stale
  from monitoring.metric_health as h
  group by h.target
) as h on h.target = t.target
left join (
  select
    x.target,
    sum(x.blks_hit) as blks_hit,
    sum(x.blks_read) as blks_read,
    sum(x.xact_commit + x.xact_rollback) as transactions,
    sum(x.xact_rollback) as rollbacks,
    sum(x.deadlocks)::bigint as deadlocks
  from (
    select x.target, x.blks_hit, x.blks_read, x.xact_commit, x.xact_rollback, x.deadlocks
    from monitoring.stat_database as x
    where x.tier = '1d'
      and $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days'
      and x.time >= date_bin('1 day', $__timeFrom()::timestamptz + interval '24 hours' - interval '1 us', timestamptz 'epoch')
      and x.time < $__timeTo()::timestamptz
    union all
    select x.target, x.blks_hit, x.blks_read, x.xact_commit, x.xact_rollback, x.deadlocks
    from monitoring.stat_database as x
    where x.tier = '1h'
      and monitoring.tier('stat_database', case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz < interval '6 hours' then 300000 else 3600000 end, $__timeFrom()::timestamptz) <> '5m'
      and x.time >= date_bin('1 hour', $__timeFrom()::timestamptz, timestamptz 'epoch')
      and x.time < case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days' then date_bin('1 day', $__timeFrom()::timestamptz + interval '24 hours' - interval '1 us', timestamptz 'epoch') else $__timeTo()::timestamptz end
    union all
    select x.target, x.blks_hit, x.blks_read, x.xact_commit, x.xact_rollback, x.deadlocks
    from monitoring.stat_database as x
    where x.tier = '1h'
      and $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days'
      and x.time >= greatest(date_bin('1 day', $__timeFrom()::timestamptz + interval '24 hours' - interval '1 us', timestamptz 'epoch'), coalesce((select r.watermark from monitoring.rollups as r where r.metric = 'stat_database' and r.tier = '1d'), '-infinity'))
      and x.time < $__timeTo()::timestamptz
    union all
    select x.target, x.blks_hit, x.blks_read, x.xact_commit, x.xact_rollback, x.deadlocks
    from monitoring.stat_database as x
    where x.tier = '5m'
      and x.time >= case when monitoring.tier('stat_database', case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz < interval '6 hours' then 300000 else 3600000 end, $__timeFrom()::timestamptz) = '5m' then '-infinity' else coalesce((select r.watermark from monitoring.rollups as r where r.metric = 'stat_database' and r.tier = '1h'), '-infinity') end
      and x.time >= date_bin('5 minutes', $__timeFrom()::timestamptz, timestamptz 'epoch')
      and x.time < $__timeTo()::timestamptz
    union all
    select x.target, x.blks_hit, x.blks_read, x.xact_commit, x.xact_rollback, x.deadlocks
    from monitoring.stat_database as x
    where x.tier = 'raw'
      and x.time >= coalesce((select r.watermark from monitoring.rollups as r where r.metric = 'stat_database' and r.tier = '5m'), '-infinity')
      and x.time >= $__timeFrom()::timestamptz
      and x.time < $__timeTo()::timestamptz
  ) as x
  group by x.target
) as d on d.target = t.target
left join (
  select w.target, sum(w.seconds) as seconds
  from (
    select x.target, x.covered_seconds as seconds
    from monitoring.coverage as x
    where x.metric = 'stat_database'
      and x.tier = '1d'
      and $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days'
      and x.time >= date_bin('1 day', $__timeFrom()::timestamptz + interval '24 hours' - interval '1 us', timestamptz 'epoch')
      and x.time < $__timeTo()::timestamptz
    union all
    select x.target, x.covered_seconds as seconds
    from monitoring.coverage as x
    where x.metric = 'stat_database'
      and x.tier = '1h'
      and monitoring.tier('stat_database', case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz < interval '6 hours' then 300000 else 3600000 end, $__timeFrom()::timestamptz) <> '5m'
      and x.time >= date_bin('1 hour', $__timeFrom()::timestamptz, timestamptz 'epoch')
      and x.time < case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days' then date_bin('1 day', $__timeFrom()::timestamptz + interval '24 hours' - interval '1 us', timestamptz 'epoch') else $__timeTo()::timestamptz end
    union all
    select x.target, x.covered_seconds as seconds
    from monitoring.coverage as x
    where x.metric = 'stat_database'
      and x.tier = '1h'
      and $__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '3 days'
      and x.time >= greatest(date_bin('1 day', $__timeFrom()::timestamptz + interval '24 hours' - interval '1 us', timestamptz 'epoch'), coalesce((select r.watermark from monitoring.rollups as r where r.metric = 'stat_database' and r.tier = '1d'), '-infinity'))
      and x.time < $__timeTo()::timestamptz
    union all
    select x.target, x.covered_seconds as seconds
    from monitoring.coverage as x
    where x.metric = 'stat_database'
      and x.tier = '5m'
      and x.time >= case when monitoring.tier('stat_database', case when $__timeTo()::timestamptz - $__timeFrom()::timestamptz < interval '6 hours' then 300000 else 3600000 end, $__timeFrom()::timestamptz) = '5m' then '-infinity' else coalesce((select r.watermark from monitoring.rollups as r where r.metric = 'stat_database' and r.tier = '1h'), '-infinity') end
      and x.time >= date_bin('5 minutes', $__timeFrom()::timestamptz, timestamptz 'epoch')
      and x.time < $__timeTo()::timestamptz
    union all
    select x.target, x.interval_seconds
    from monitoring.snapshot as x
    where x.metric = 'stat_database'
      and x.status = 'ok'
      and x.time >= coalesce((select r.watermark from monitoring.rollups as r where r.metric = 'stat_database' and r.tier = '5m'), '-infinity')
      and x.time >= $__timeFrom()::timestamptz
      and x.time < $__timeTo()::timestamptz
  ) as w
  group by w.target
) as c on c.target = t.target
left join (
  select distinct on (x.target)
    x.target,
    x.client_backends
      / nullif(x.max_connections - x.superuser_reserved_connections - x.reserved_connections, 0) as connections_ratio
  from monitoring.connection_slots as x
  where x.tier = monitoring.tier('connection_slots', 300000, $__timeTo()::timestamptz - interval '2 hours')
    and x.time >= $__timeTo()::timestamptz - interval '2 hours'
    and x.time < $__timeTo()::timestamptz
  order by x.target, x.time desc
) as s on s.target = t.target
left join monitoring.isolation as i on i.target = t.target
left join (
  select f.target, count(*) as urgent_findings
  from monitoring.finding as f
  where f.is_open and f.allowed is null and f.status = 'fail' and f.severity in ('P0', 'P1')
  group by f.target
) as f on f.target = t.target
where t.target in ($target)
order by
  case when t.is_refused or not t.is_up then 0 when t.last_poll < now() - interval '5 minutes' then 1 else 2 end,
  coalesce(f.urgent_findings, 0) > 0 desc,
  h.failing > 0 desc,
  h.stale > 0 desc,
  coalesce(f.urgent_findings, 0) desc,
  s.connections_ratio desc nulls last,
  t.target
limit 100
