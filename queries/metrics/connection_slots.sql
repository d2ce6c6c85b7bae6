-- Client connections against the slots that ordinary roles may use.
--
-- interval: 15s
-- tiers: raw 5m 1h
-- scope: instance
-- requires: pg_monitor
-- columns:
--   client_backends                 gauge  integer  client backends connected
--   max_connections                 gauge  integer  slots of the server
--   superuser_reserved_connections  gauge  integer  slots kept for superusers
--   reserved_connections            gauge  integer  slots kept for pg_use_reserved_connections (16 on)
select
  (select count(*)::integer from pg_stat_activity where backend_type = 'client backend') as client_backends,
  current_setting('max_connections')::integer as max_connections,
  current_setting('superuser_reserved_connections')::integer as superuser_reserved_connections,
  coalesce(current_setting('reserved_connections', true), '0')::integer as reserved_connections
