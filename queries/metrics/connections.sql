-- Client connections by database, user, state and wait.
--
-- The agent's own connection is one of them. Ages are those of the oldest in each group, 0 where there is none.
--
-- interval: 15s
-- scope: instance
-- requires: pg_monitor
-- missing: zero
-- columns:
--   datname                             key    text              database, '' where there is none
--   usename                             key    text              role
--   state                               key    text              active, idle, idle in transaction, … ('' unknown)
--   wait_event_type                     key    text              what it waits for, '' for nothing
--   wait_event                          key    text              the event, '' for none
--   connections                         gauge  integer           client backends in this group
--   oldest_transaction_seconds          gauge  double precision  age of the oldest open transaction [seconds]
--   oldest_query_seconds                gauge  double precision  age of the oldest active statement [seconds]
--   oldest_idle_in_transaction_seconds  gauge  double precision  longest time idle in a transaction [seconds]
select
  coalesce(datname::text, '') as datname,
  coalesce(usename::text, '') as usename,
  coalesce(state, '') as state,
  coalesce(wait_event_type, '') as wait_event_type,
  coalesce(wait_event, '') as wait_event,
  count(*)::integer as connections,
  greatest(coalesce(extract(epoch from clock_timestamp() - min(xact_start)), 0), 0)::double precision
    as oldest_transaction_seconds,
  greatest(
    coalesce(extract(epoch from clock_timestamp() - min(query_start) filter (where state = 'active')), 0), 0
  )::double precision as oldest_query_seconds,
  greatest(
    coalesce(
      extract(epoch from clock_timestamp() - min(state_change) filter (where state like 'idle in transaction%')), 0
    ), 0
  )::double precision as oldest_idle_in_transaction_seconds
from pg_stat_activity
where backend_type = 'client backend'
group by 1, 2, 3, 4, 5
