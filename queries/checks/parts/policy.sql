-- Policies of tenant tables, with their expressions as text and the columns of the table that each reads.
--
-- `reads_key` says whether the policy depends on the tenant key; `command` is r, a, w, d or *, as in pg_policy.
--
-- uses: tenant_table
select
  p.oid,
  p.polrelid,
  p.polname::text as polname,
  p.polcmd as command,
  p.polpermissive as is_permissive,
  p.polroles,
  0 = any (p.polroles) as is_for_public,
  pg_get_expr(p.polqual, p.polrelid) as using_expression,
  pg_get_expr(p.polwithcheck, p.polrelid) as check_expression,
  exists (
    select from pg_depend as d
    where d.classid = 'pg_policy'::regclass and d.objid = p.oid
      and d.refclassid = 'pg_class'::regclass and d.refobjid = t.oid and d.refobjsubid = t.key_attnum
  ) as reads_key,
  t.object,
  t.nspname,
  t.relname,
  t.key,
  t.key_type,
  t.relnamespace,
  t.relowner,
  t.relrowsecurity,
  t.relforcerowsecurity,
  t.is_tenants_table
from pg_policy as p
join tenant_table as t on t.oid = p.polrelid
