-- How far the sweeps of tenants' rows have come, and how old what they say is.
--
-- A sweep says that a table is clean after a full cycle over all of its pages, and not before.
--
-- columns:
--   target          target
--   check_name      name of the check
--   finding         key of the finding that bad rows lead to
--   coverage_ratio  share of the pages that the running cycle has read; 1 when none is running
--   finished_at     time of the last full cycle; NULL: there was none
--   age_seconds     time since then
--   bad_rows        rows that are wrong, of the running cycle or of the last
--   pages           pages of the table, of its largest partition
select
  t.name as target,
  s.check_name,
  k.key as finding,
  case
    when k.state ->> 'cycle_started_at' is null then (k.state ->> 'cycle_finished_at' is not null)::integer
    else coalesce(
      least(1, (k.state ->> 'next_block')::double precision / nullif((k.state ->> 'pages')::double precision, 0)), 0
    )
  end::double precision as coverage_ratio,
  (k.state ->> 'cycle_finished_at')::timestamptz as finished_at,
  extract(epoch from now() - (k.state ->> 'cycle_finished_at')::timestamptz)::double precision as age_seconds,
  greatest((k.state ->> 'bad_rows')::bigint, (k.state ->> 'last_bad_rows')::bigint) as bad_rows,
  (k.state ->> 'pages')::bigint as pages
from monitoring.check_state as s
join monitoring.target as t using (target_id)
cross join lateral jsonb_each(s.sweep) as k (key, state)
