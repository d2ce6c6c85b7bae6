-- How large the history is, by metric and tier, what comes a day, and what it will be.
--
-- Sizes are exact at the moment of the query; rows are the server's estimates. What comes a day is told by the youngest
-- three partitions that hold something, and NULL before they have filled for ten minutes. A tier is full when as much
-- goes as comes: when its oldest partition is older than is kept. No table is read for it.
--
-- columns:
--   metric            metric; coverage and snapshot_log: of all of them; '' for what belongs to none
--   part              tier, or log; other: series, texts, last counters
--   tables            tables and partitions
--   rows              rows in them; NULL: not known
--   table_bytes       tables with TOAST
--   index_bytes       their indexes
--   total_bytes       both
--   since             start of what is kept
--   retention_seconds how long it is kept; NULL: forever, or it has no time
--   rows_per_day      rows that come a day
--   bytes_per_day     bytes that come a day, with indexes
--   in_30_days_bytes  total_bytes in 30 days, as much as comes a day now
--   in_a_year_bytes   total_bytes in 365 days
--   full_bytes        total_bytes when it is full; NULL: it grows forever
with relation as materialized (
  select c.oid, c.relname, c.reltuples, regexp_match(d.description, '^Partition of (\S+) from (.+) to (.+)$') as bounds
  from pg_class as c
  left join pg_description as d on d.objoid = c.oid and d.classoid = 'pg_class'::regclass and d.objsubid = 0
  where c.relnamespace = 'monitoring'::regnamespace
    and c.relkind in ('r', 'm')
),
named as materialized (
  select
    r.*,
    case
      when coalesce(r.bounds[1], r.relname) = 'snapshot_log' then array['snapshot_log', 'log']
      when r.relname ~ '^statement_text' then array['stat_statements', 'other']
      else regexp_match(
        coalesce(r.bounds[1], r.relname), '^(.+)_(raw|1m|5m|1h|1d|series|last|staging|attributes)$'
      )
    end as owner
  from relation as r
),
stored as materialized (
  select
    regexp_replace(coalesce(n.owner[1], ''), '_v\d+$', '') as metric,
    case when n.owner[2] in ('log', 'raw', '1m', '5m', '1h', '1d') then n.owner[2] else 'other' end as part,
    n.bounds[2]::timestamptz as since,
    n.bounds[3]::timestamptz as until,
    coalesce(pg_table_size(n.oid), 0) as table_bytes,
    coalesce(pg_indexes_size(n.oid), 0) as index_bytes,
    coalesce(pg_relation_size(n.oid), 0) = 0 as is_empty,
    coalesce(nullif(pg_stat_get_live_tuples(n.oid), 0), nullif(greatest(n.reltuples, 0), 0)::bigint) as rows
  from named as n
),
placed as (
  select
    s.*,
    row_number() over (partition by s.metric, s.part order by s.is_empty or s.since is null, s.since desc) as place
  from stored as s
),
summed as (
  select
    p.metric,
    p.part,
    count(*)::integer as tables,
    case when bool_and(p.rows is not null or p.is_empty) then coalesce(sum(p.rows), 0)::bigint end as rows,
    sum(p.table_bytes)::bigint as table_bytes,
    sum(p.index_bytes)::bigint as index_bytes,
    sum(p.table_bytes + p.index_bytes)::bigint as total_bytes,
    min(p.since) filter (where not p.is_empty) as since,
    extract(epoch from max(p.until - p.since))::double precision as period_seconds,
    min(p.since) filter (where not p.is_empty and p.place <= 3) as recent_since,
    max(p.until) filter (where not p.is_empty and p.place <= 3) as recent_until,
    case
      when bool_and(p.rows is not null) filter (where not p.is_empty and p.place <= 3)
      then sum(p.rows) filter (where not p.is_empty and p.place <= 3)
    end as recent_rows,
    sum(p.table_bytes + p.index_bytes) filter (where not p.is_empty and p.place <= 3) as recent_bytes
  from placed as p
  group by p.metric, p.part
),
read as (
  select coalesce(m.name, '') as metric, least(max(s.last_ts), now()) as until, min(t.first_seen) as since
  from monitoring.metric_state as s
  join monitoring.target as t using (target_id)
  left join monitoring.metric as m using (metric_id)
  group by grouping sets ((m.name), ())
),
aged as (
  select
    s.*,
    r.retention_seconds,
    greatest(s.since, w.since) as oldest,
    extract(epoch from now() - greatest(s.since, w.since))::double precision as age_seconds,
    nullif(
      greatest(
        extract(epoch from least(s.recent_until, w.until) - greatest(s.recent_since, w.since))::double precision, 600
      ),
      600
    ) / 86400 as recent_days
  from summed as s
  left join monitoring.metric as m on m.name = s.metric
  left join monitoring.rollup as r
    on r.metric_id = coalesce(m.metric_id, 0) and r.tier = case when s.part = 'log' then '1m' else s.part end
  left join read as w on w.metric = coalesce(m.name, '')
)
select
  a.metric,
  a.part,
  a.tables,
  a.rows,
  a.table_bytes,
  a.index_bytes,
  a.total_bytes,
  a.oldest as since,
  a.retention_seconds,
  (a.recent_rows / a.recent_days)::double precision as rows_per_day,
  (a.recent_bytes / a.recent_days)::double precision as bytes_per_day,
  f.in_30_days_bytes,
  f.in_a_year_bytes,
  f.full_bytes
from aged as a
cross join lateral (
  select
    coalesce(a.retention_seconds + a.period_seconds, 'infinity'::double precision) as full_seconds,
    coalesce((a.recent_bytes / a.recent_days)::double precision, 0) / 86400 as bytes_per_second
) as g
cross join lateral (
  select
    greatest(a.total_bytes + g.bytes_per_second * (least(a.age_seconds + 30 * 86400, g.full_seconds) - a.age_seconds), 0)
      as thirty,
    greatest(a.total_bytes + g.bytes_per_second * (least(a.age_seconds + 365 * 86400, g.full_seconds) - a.age_seconds), 0)
      as year,
    case
      when g.bytes_per_second = 0 or a.age_seconds is null then a.total_bytes::double precision
      when g.full_seconds < 'infinity'
      then greatest(a.total_bytes + g.bytes_per_second * (g.full_seconds - a.age_seconds), 0)
    end as full_bytes
) as h
cross join lateral (
  select
    case when g.bytes_per_second = 0 or a.age_seconds is null then a.total_bytes::double precision else h.thirty end
      as in_30_days_bytes,
    case when g.bytes_per_second = 0 or a.age_seconds is null then a.total_bytes::double precision else h.year end
      as in_a_year_bytes,
    h.full_bytes
) as f
