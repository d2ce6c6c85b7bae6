-- A table with row level security and without a permissive policy.
--
-- Nobody but those whom it does not bind sees a row: no leak, but what was meant is missing, and whoever needs the rows
-- is tempted to switch it off. Partitions are left out: for them it is a way to close them to direct access.
--
-- model: rls
-- severity: P3
-- uses: tenancy, pool_relation
select
  r.object,
  '' as role,
  'Row level security is on and no policy lets a row through: the application sees nothing, and a tenant may be served '
    || 'around it.' as detail,
  case when r.key is null then '-- ' else '' end || format(
    'CREATE POLICY tenant_isolation ON %s USING (%s = current_setting(%L)::%s); -- or, if no rows are to be seen, '
    'REVOKE ALL ON %s FROM the roles that have it, and allow the finding',
    r.object, coalesce(quote_ident(r.key), '...'), coalesce(t.setting, 'app.tenant_id'),
    coalesce(format_type(r.key_type, null), '...'), r.object
  ) as remedy
from pool_relation as r
cross join tenancy as t
where r.relrowsecurity
  and r.relkind in ('r', 'p')
  and not r.relispartition
  and not exists (select from pg_policy as p where p.polrelid = r.oid and p.polpermissive)
order by 1
