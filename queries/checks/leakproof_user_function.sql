-- A function of one's own that is marked LEAKPROOF, and that the application may call.
--
-- The planner lets a LEAKPROOF function see rows before the policies have judged them. If it tells of its arguments in
-- any way, by an error, a notice or a row that it writes, it tells of other tenants' rows.
--
-- model: rls
-- severity: P2
-- uses: app_identity
select
  f.object,
  i.app_name as role,
  format('%s may give %s to a condition that is judged before the policies: whatever the function tells of its '
    'arguments, it tells of the rows of every tenant.', i.app_name, f.object) as detail,
  format('ALTER FUNCTION %s NOT LEAKPROOF;', f.object) as remedy
from (
  select p.oid, p.pronamespace, p.oid::regprocedure::text as object
  from pg_proc as p
  join pg_namespace as n on n.oid = p.pronamespace
  where p.proleakproof
    and p.oid >= 16384 -- the first OID that is none of initdb's
    and n.nspname <> 'monitoring'
    and not exists (
      select from pg_depend as d
      where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
    )
) as f
join app_identity as i on has_schema_privilege(i.identity, f.pronamespace, 'USAGE')
  and has_function_privilege(i.identity, f.oid, 'EXECUTE')
group by f.object, i.app_name
order by 1, 2
