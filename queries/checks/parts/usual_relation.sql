-- Names of relations that at least half of the tenants' schemas with any relation have: two schemas or more.
--
-- uses: tenant_relation
select r.relname, count(*) as schemas
from tenant_relation as r
group by r.relname
having count(*) * 2 >= (select count(distinct a.schema) from tenant_relation as a)
  and (select count(distinct a.schema) from tenant_relation as a) > 1
