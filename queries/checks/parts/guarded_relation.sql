-- Relations whose rows row level security must keep apart: those with the key, and others of the pool that have it on.
--
-- Foreign tables with the key are among them, although nothing can protect them.
--
-- uses: pool_relation
select r.*
from pool_relation as r
where not r.is_shared
  and (r.key_attnum is not null and r.relkind in ('r', 'p', 'f') or r.relrowsecurity)
