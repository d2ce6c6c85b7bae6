-- How many of the slots that ordinary roles may use are taken.
--
-- needs: connection_slots
-- columns:
--   time               time of the reading
--   tier               resolution
--   target             target
--   client_backends    client connections
--   available          max_connections less superuser_reserved_connections less reserved_connections
--   utilisation_ratio  client_backends / available, 0 to 1 (more when the reserved slots are in use)
select
  c.time,
  c.tier,
  c.target,
  c.client_backends,
  c.max_connections - c.superuser_reserved_connections - c.reserved_connections as available,
  c.client_backends::double precision
    / nullif(c.max_connections - c.superuser_reserved_connections - c.reserved_connections, 0) as utilisation_ratio
from monitoring.connection_slots as c
