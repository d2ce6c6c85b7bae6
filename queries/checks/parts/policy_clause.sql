-- USING and WITH CHECK of each policy of a tenant table whose row level security is on, one row each.
--
-- `clause` is USING or CHECK; `expression` is what the server gives back: full of parentheses, casts and all. Its
-- functions are those of pg_depend; where one guards or opens rows can only be told from its body, so that is a guess.
--
-- What is known of the policy and its table is carried along: the planner takes these for few rows, and would join
-- thousands of them by nested loops.
--
-- uses: policy
select
  p.oid,
  p.polrelid,
  p.polname,
  p.polroles,
  p.command,
  p.is_for_public,
  p.is_permissive,
  p.check_expression is not null as has_check,
  p.object,
  p.key,
  p.key_type,
  p.relnamespace,
  p.relowner,
  p.relforcerowsecurity,
  p.is_tenants_table,
  c.clause,
  c.expression,
  quote_ident(p.key) as quoted_key,
  -- Names of columns are qualified in sub-selects alone.
  case when c.expression like '%SELECT%' or c.expression like '%.*%' then quote_ident(p.relname) end as quoted_table,
  c.expression like '%SELECT%' and exists (
    select
    from pg_depend as d
    join pg_class as r on r.oid = d.refobjid
    where d.classid = 'pg_policy'::regclass and d.objid = p.oid and d.refclassid = 'pg_class'::regclass
      and d.refobjid <> p.polrelid and (r.relrowsecurity or r.relkind = 'v')
  ) as reads_protected
from policy as p
cross join lateral (
  values ('USING', p.using_expression), ('CHECK', p.check_expression)
) as c (clause, expression)
where p.relrowsecurity and c.expression is not null
