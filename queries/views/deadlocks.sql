-- Deadlocks by database; any number above 0 is an event.
--
-- needs: stat_database
-- columns:
--   time       end of the interval; start of the bucket in coarser tiers
--   tier       resolution
--   target     target
--   datname    database
--   deadlocks  deadlocks in the interval
--   quality    0 good; bits: 1 partial (a lower bound), 2 unknown, 4 gap
select d.time, d.tier, d.target, d.datname, d.deadlocks, d.quality
from monitoring.stat_database as d
