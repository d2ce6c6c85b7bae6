-- USING and WITH CHECK of each policy of a tenant table whose row level security is on, one row each.
--
-- `clause` is USING or CHECK; `expression` is what the server gives back: full of parentheses, casts and all. Its
-- functions are those of pg_depend; where one guards or opens rows can only be told from its body, so that is a guess.
--
-- uses: policy, tenant_table
select
  p.oid,
  p.polrelid,
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
join tenant_table as t on t.oid = p.polrelid and t.relrowsecurity
cross join lateral (
  values ('USING', p.using_expression), ('CHECK', p.check_expression)
) as c (clause, expression)
where c.expression is not null
