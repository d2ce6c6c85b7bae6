-- Tables and partitions that hold rows of several tenants, told apart by the key.
--
-- The table of the tenants is one only where it has the key itself.
--
-- uses: pool_relation
select r.*
from pool_relation as r
where r.relkind in ('r', 'p') and r.key_attnum is not null and not r.is_shared
