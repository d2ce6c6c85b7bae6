-- The table of the tenants, and its column that the key holds, as SQL writes them.
--
-- uses: tenancy, pool_relation
select r.object, quote_ident(t.tenants_pk) as tenants_pk
from pool_relation as r
cross join tenancy as t
where r.is_tenants_table
order by 1
