-- Functions that policies call, and what their bodies seem to do: a guess, by text alone.
--
-- `kind`: P is plain (its body calls nothing and reads no table, so that of who asks it knows what it is told alone), G
-- guards (a boolean whose body names the tenant key), O is open (a boolean that lets through what has no context), D
-- falls back to one tenant, '' none of these. `name` is written as in a policy's expression.
--
-- uses: tenancy
select
  quote_ident(n.nspname) || '.' || quote_ident(f.proname) as name,
  case
    when l.lanname in ('sql', 'plpgsql')
      and b.body !~ '\w ?\(|current_|\m(session_user|user|system_user|from|perform|execute|table)\M'
      then 'P'
    when f.prorettype = 'bool'::regtype and b.body ~ 'current_setting' and (
      b.body ~ '(is null|= '''')[^;]* then (return )?true'
      or b.body ~ '\)(::\w+)?\)* (is null|= '''')\)* or '
      or b.body ~ 'coalesce\((nullif\()?current_setting\([^()]*\)(, ''''\))?(::\w+)?\)?(::\w+)?, ?(?!null)[a-z$]'
    ) then 'O'
    when f.prorettype = 'bool'::regtype and f.pronargs > 0
      and exists (select from unnest(t.key_columns) as k (name) where position(lower(k.name) in b.body) > 0) then 'G'
    when f.prorettype <> 'bool'::regtype
      and b.body ~ (
        'coalesce\((nullif\()?current_setting\([^()]*\)(, ''''\))?(::\w+)?\)?(::\w+)?, ?'
        '''(?!(-1|_*(none|null|nobody|unset|invalid|missing)_*)'')[^'']*[1-9a-z]'
      )
      then 'D'
    else ''
  end as kind
from pg_proc as f
join pg_namespace as n on n.oid = f.pronamespace
join pg_language as l on l.oid = f.prolang
cross join tenancy as t
cross join lateral (
  select regexp_replace(
    regexp_replace(
      lower(coalesce(pg_get_function_sqlbody(f.oid), f.prosrc)), '--[^\n]*|/\*.*?\*/|::text', '', 'g'
    ), '\s+', ' ', 'g'
  ) as body
) as b
where f.oid in (
  select d.refobjid from pg_depend as d
  where d.classid = 'pg_policy'::regclass and d.refclassid = 'pg_proc'::regclass
)
