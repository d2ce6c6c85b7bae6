-- What each clause of a policy does with the rows of another tenant.
--
-- `foreign_row` is while the context is set to one's own, `unset_row` while it is not: t lets them through, f does not,
-- u does by what else is in the row. `has_key`: it reads the key; `has_alternative`: there are conditions to choose
-- from; `has_context`: something in it depends on who asks.
--
-- The expression, as the server gives it back, is worked out from the innermost parentheses outwards. Each value is a
-- token, namely K the key, H made of the key, C the context, R and I a setting (one that must, one that may be there),
-- O and V other columns (O inside a sub-select), N null, E '', Z a literal that is nobody's (0, -1, none, a UUID of
-- zeros), L any other, T true, F false, U undecided, X an error, and sub-selects, S of who asks and of the row, A of
-- who asks, Q of who asks or of everybody while that is unset. What compares the key with the context is false for
-- another's row. What is not understood, but has the key in it, is trusted. Each different expression is worked out
-- once.
--
-- uses: policy_clause, policy_function, app_identity
with recursive names as (
  select
    coalesce(
      (
        select string_agg(distinct regexp_replace(i.identity_name, '(\W)', '\\\1', 'g'), '|')
        from app_identity as i
      ),
      '(?!)'
    ) as roles,
    (select string_agg(regexp_replace(f.name, '(\W)', '\\\1', 'g'), '|') from policy_function as f where f.kind = 'G')
      as guards,
    (select string_agg(regexp_replace(f.name, '(\W)', '\\\1', 'g'), '|') from policy_function as f where f.kind = 'O')
      as opens,
    (select string_agg(regexp_replace(f.name, '(\W)', '\\\1', 'g'), '|') from policy_function as f where f.kind = 'P')
      as plains,
    (select string_agg(regexp_replace(f.name, '(\W)', '\\\1', 'g'), '|') from policy_function as f where f.kind = 'D')
      as defaults
),
expression as materialized (
  select distinct c.expression, c.quoted_key, c.quoted_table, c.reads_protected
  from policy_clause as c
),
-- Names in quotes, literals, settings and roles.
plain as (
  select
    e.*,
    regexp_replace(q.key, '(\W)', '\\\1', 'g') as key,
    regexp_replace(q.tab, '(\W)', '\\\1', 'g') as tab,
    s4.s
  from expression as e
  cross join names as n
  cross join lateral (
    select
      case when e.quoted_key like '"%' then 'the_key' else e.quoted_key end as key,
      case when e.quoted_table like '"%' then 'the_table' else e.quoted_table end as tab
  ) as q
  cross join lateral (
    select case when e.expression like '%"%' then regexp_replace(
      replace(replace(e.expression, coalesce(e.quoted_table, '"'), coalesce(q.tab, '"')), e.quoted_key, q.key),
      '"([^"]|"")*"', 'quoted', 'g'
    ) else e.expression end as s
  ) as s00
  cross join lateral (
    select regexp_replace(s00.s, '\(([^=]+) = \1\)', '0T', 'g') as s
  ) as s0
  cross join lateral (
    select regexp_replace(
      regexp_replace(s0.s, 'current_setting\(''[^'']*\.[^'']*''::text(, false)?\)', '0R', 'g'),
      'current_setting\(''[^'']*\.[^'']*''::text, true\)', '0I', 'g'
    ) as s
  ) as s1
  cross join lateral (
    select case when s1.s ~ '(CURRENT|SESSION)_(USER|ROLE)' then regexp_replace(
      regexp_replace(
        regexp_replace(
          s1.s, '\(\(?(CURRENT|SESSION)_(USER|ROLE)\)?(::text)? = ''(' || n.roles || ')''::(name|text)\)', '0U', 'g'
        ),
        '\(\(?(CURRENT|SESSION)_(USER|ROLE)\)?(::text)? = ''[^'']*''::(name|text)\)'
          || '|pg_has_role\((CURRENT|SESSION)_(USER|ROLE), ''(?!(' || n.roles || ')'')[^'']*''::name, [^()]*\)',
        '0F', 'g'
      ),
      '(CURRENT|SESSION)_(USER|ROLE)', '0C', 'g'
    ) else s1.s end as s
  ) as s2
  cross join lateral (
    select case when s2.s ~ '''' then regexp_replace(
      regexp_replace(
        regexp_replace(
          regexp_replace(s2.s, '\(E?''([^'']|'''')*''(::[\w" ]+)? = E?''([^'']|'''')*''(::[\w" ]+)?\)', '0F', 'g'),
          '(?<!'')''''(?!'')', '0E', 'g'
        ),
        '''([0-]+|-1|\{\}|_*(none|null|nobody|unset|invalid|missing)_*)''', '0Z', 'g'
      ),
      'E?''([^'']|'''')*''', '0L', 'g'
    ) else s2.s end as s
  ) as s3
  cross join lateral (
    select regexp_replace(
      regexp_replace(trim(regexp_replace(s3.s, '\s+', ' ', 'g')), ' AS \w+', '', 'g'),
      '\(-?\d+(\.\d+)? = -?\d+(\.\d+)?\)', '0F', 'g'
    ) as s
  ) as s4
),
-- The key, and columns of the policy's table inside of sub-selects.
keyed as (
  select
    p.*,
    regexp_replace(
      case
        when p.quoted_table is null then p.s
        else regexp_replace(
          regexp_replace(p.s, '(?<![\w.$])' || p.tab || '\.(' || p.key || '(?![\w$])|\*)', '0K', 'g'),
          '(?<![\w.$])' || p.tab || '\.\w+(?!\()', '0O', 'g'
        )
      end,
      '(?<![\w.$])' || p.key || '(?![\w$(])', '0K', 'g'
    ) as keyed_text
  from plain as p
),
-- Sub-selects become tokens, from the first outermost one on; parentheses inside of them are written as braces.
folding as (
  select distinct k.keyed_text, k.reads_protected, k.keyed_text as s, 0 as step
  from keyed as k
  union all
  select
    f.keyed_text,
    f.reads_protected,
    case
      when f.s ~ '\( (SELECT|WITH|VALUES)\M[^()]*(\([^()]*)*\([^()]*\)'
        then regexp_replace(f.s, '(\( (?:SELECT|WITH|VALUES)\M[^()]*(?:\([^()]*)*)\(([^()]*)\)', '\1{\2}')
      else regexp_replace(f.s, '\( (SELECT|WITH|VALUES)\M[^()]*\)', w.token)
    end,
    f.step + 1
  from folding as f
  cross join lateral (
    select
      case
        when t.body !~ '(^| )(FROM|VALUES) ' then '(' || translate(t.body, '{}', '()') || ')'
        when not (t.body ~ '0[CRI]|\w\.\w+\{' or f.reads_protected) then '0V'
        when t.body ~ '\{0I IS NULL\}' then '0Q'
        when t.body ~ '0[KO]' then '0S'
        else '0A'
      end as token
    from (select substring(f.s from '\( (?:SELECT |(?=WITH|VALUES))([^()]*)\)') as body) as t
  ) as w
  where f.s ~ '\( (SELECT|WITH|VALUES)\M' and f.step < 200
),
folded as (
  select
    f.keyed_text,
    f.reads_protected,
    f.keyed_text like '%0K%' as has_key,
    f.keyed_text ~ '\m(OR|CASE|COALESCE)\M' as has_alternative,
    f.keyed_text ~ '0[CRI]|\w\.\w+\(|current_|session_|pg_has_role|inet_client' or f.reads_protected as has_context,
    s5.s
  from folding as f
  cross join names as n
  -- Casts, collations and what else changes nothing.
  cross join lateral (
    select regexp_replace(
      replace(replace(replace(f.s, ' ANY (', ' ('), ' ALL (', ' ('), ' IN 0', ' = 0'),
      '::(character varying|double precision|bit varying|\w+(\.\w+)?)(\([\d,]+\))?( with(out)? time zone)?'
        || '(\[\])*| COLLATE (\w+\.)?\w+|\[\d+\]|\w+ => |(?<=\()VARIADIC ',
      '', 'g'
    ) as s
  ) as s1
  cross join lateral (
    select case when s1.s ~ '\w\.' then
      regexp_replace(
        regexp_replace(
          regexp_replace(
            regexp_replace(
              regexp_replace(
                regexp_replace(s1.s, 'OPERATOR\([^()]*\.([^().\w]+)\)', '\1', 'g'),
                '(?<![\w.$"])(' || coalesce(n.plains, '(?!)') || ')\(', 'plain(', 'g'
              ),
              '(?<![\w.$"])(' || coalesce(n.guards, '(?!)') || ')\(', 'guard(', 'g'
            ),
            '(?<![\w.$"])(' || coalesce(n.opens, '(?!)') || ')\(', 'open(', 'g'
          ),
          '(?<![\w.$"])(' || coalesce(n.defaults, '(?!)') || ')\(', 'fallback(', 'g'
        ),
        '\w+\.\w+\(', 'own(', 'g'
      )
      else s1.s end as s
  ) as s2
  cross join lateral (
    select case when s2.s ~ 'CASE|ARRAY|NULL' then
      replace(replace(replace(replace(
        regexp_replace(s2.s, '(?<! IS| NOT)( |\(|^)NULL\M', '\10N', 'g'),
        'CASE ', 'case('), ' END', ')'), 'ARRAY[', 'row('), ']', ')')
      else s2.s end as s
  ) as s3
  -- Other columns are words that are left.
  cross join lateral (
    select regexp_replace(
      regexp_replace(regexp_replace(s3.s, '\mtrue\M', '0T', 'g'), '\mfalse\M', '0F', 'g'),
      '(?<![\w.$])(?:[a-z_][\w$]*\.)*[a-z_][\w$]*\M(?![(.])', '0V', 'g'
    ) as s
  ) as s4
  cross join lateral (
    select regexp_replace(
      regexp_replace(s4.s, '(?<![\w.$])(0|-1)(?![\w.])', '0Z', 'g'), '(?<![\w.$])-?\d+(\.\d+)?(?![\w.])', '0L', 'g'
    ) as s
  ) as s5
  where f.s !~ '\( (SELECT|WITH|VALUES)\M'
),
-- One pair of parentheses a step: d with the context set, b before it was ever set, c when it reads as ''.
worked as (
  select distinct
    f.s as folded_text,
    f.has_context,
    e.env,
    case e.env
      when 'd' then replace(replace(f.s, '0R', '0C'), '0I', '0C')
      when 'b' then replace(replace(replace(f.s, '0R', '0X'), '0I', '0N'), '0Q', '0V')
      else replace(replace(replace(f.s, '0R', '0E'), '0I', '0E'), '0Q', '0V')
    end as s,
    0 as step
  from folded as f
  cross join unnest(array['d', 'b', 'c']) as e (env)
  union all
  select
    w.folded_text,
    w.has_context,
    w.env,
    regexp_replace(w.s, '(?:[A-Za-z_]\w*)?\([^()]*\)', '0' || coalesce(r.token, 'U')),
    w.step + 1
  from worked as w
  cross join lateral (
    select
      m[1] as name,
      m[2] as body,
      string_to_array(m[2], ' ') as words,
      -- The letters of the tokens alone.
      regexp_replace(m[2], '[^A-Z]*0([A-Z])|[^0]+$', '\1', 'g') as letters
    from regexp_match(w.s, '([A-Za-z_]\w*)?\(([^()]*)\)') as m
  ) as g
  cross join lateral (
    select
      right(g.words[1], 1) as x,
      right(g.words[array_length(g.words, 1)], 1) as y,
      least(right(g.words[1], 1) collate "C", right(g.words[array_length(g.words, 1)], 1) collate "C")
        || greatest(right(g.words[1], 1) collate "C", right(g.words[array_length(g.words, 1)], 1) collate "C") as pair,
      case when array_length(g.words, 1) = 3 then g.words[2] end as operator
  ) as p
  cross join lateral (
    select case
      when g.name is null then case
        when array_length(g.words, 1) = 1 then right(g.body, 1)
        when g.body like '% AND %' then case
          when g.body ~ '0[FNXHKSZE]' then 'F'
          when replace(replace(g.body, '0T', ''), ' AND ', '') = '' then 'T'
          else 'U'
        end
        when g.body like '% OR %' then case
          when g.body like '%0T%' then 'T'
          when g.body ~ '0[UVCOALQ]' then 'U'
          else 'F'
        end
        when g.body like 'NOT 0_' then case
          when p.y = 'T' then 'F'
          when p.y = 'F' then 'T'
          when p.y in ('N', 'X', 'H') then p.y
          else 'U'
        end
        when g.body like 'EXISTS 0_' then case when p.y in ('S', 'Q') then 'F' else 'U' end
        when g.body like '0_ IS NULL' then case
          when p.x in ('N') then 'T'
          when p.x in ('V', 'O', 'U', 'A', 'S', 'Q') then 'U'
          else 'F'
        end
        when g.body like '0_ IS NOT NULL' then case
          when p.x in ('N', 'X') then 'F'
          when p.x in ('V', 'O', 'U', 'A', 'S', 'Q') then 'U'
          when p.x = 'H' and w.has_context then 'H'
          else 'T'
        end
        when g.body like '0_ IS % DISTINCT FROM 0_' or g.body like '0_ IS DISTINCT FROM 0_' then case
          when p.pair ~ 'X' then 'X'
          when p.pair in ('NN', 'KK', 'EE') then 'F'
          when p.pair ~ '[VUOAQ]' then 'U'
          when p.pair in ('LL', 'ZZ', 'CC', 'CL') then 'U'
          when p.pair ~ 'H' then 'U'
          else 'T'
        end
        when g.body like '0_ IS TRUE' or g.body like '0_ IS NOT FALSE' and p.x in ('T', 'F', 'U', 'H') then p.x
        when g.body like '0_ IS NOT FALSE' or g.body like '0_ IS NOT TRUE' then case
          when p.x = 'N' or (p.x = 'F' and g.body like '%TRUE') then 'T'
          when p.x in ('T', 'X') then 'F'
          else 'U'
        end
        when g.body like '0_ IS FALSE' then case
          when p.x = 'F' then 'T'
          when p.x in ('T', 'N', 'X') then 'F'
          else 'U'
        end
        when g.body like '0_ IS UNKNOWN' then case when p.x = 'N' then 'T' when p.x in ('V', 'U') then 'U' else 'F' end
        when p.operator is not null then case
          when p.pair ~ 'X' then 'X'
          when p.pair ~ 'N' then 'N'
          when p.operator = '=' then case
            when p.pair in ('KK', 'EE', 'TT', 'FF') then 'T'
            when p.pair in ('HL', 'HZ', 'EH') then case when w.has_context then 'F' else 'U' end
            when p.pair ~ 'H' then 'F'
            when p.pair = 'KL' then case when w.has_context then 'U' else 'F' end
            when p.pair in ('CE', 'CZ', 'CK', 'EK', 'KZ', 'EL', 'EZ', 'LZ', 'FT') then 'F'
            when p.pair in ('AK', 'AV', 'AO', 'KS', 'SV', 'OS', 'CS', 'LS') then 'F'
            else 'U'
          end
          when p.operator in ('<>', '!=') then case
            when p.pair in ('KK', 'EE') then 'F'
            when p.pair in ('CE', 'CZ', 'CK', 'EK', 'KL', 'KZ', 'EL', 'EZ', 'LZ', 'FT') then 'T'
            when g.body ~ '^0L <> 0L$' then 'T'
            else 'U'
          end
          when p.operator in ('<', '>', '<=', '>=', '~~', '!~~', '~', '~~*', '!~', '~*') then case
            when p.pair ~ '^[LZE]{2}$' then case when p.pair in ('ZZ', 'EE') then 'F' else 'T' end
            when p.operator = '>' and g.body in ('0C > 0Z', '0C > 0E') then 'T'
            when p.operator = '<=' and g.body in ('0C <= 0Z', '0C <= 0E') then 'F'
            else 'U'
          end
          when p.operator in ('@>', '<@', '&&', '?', '?|', '?&') then case
            when p.pair ~ '[KH]' and p.pair ~ '[CASE]' then 'F'
            else 'U'
          end
          when p.pair ~ '[KH]' then 'H'
          when p.pair ~ 'C' then 'C'
          when p.pair ~ '[VUOASQ]' then 'V'
          when p.pair = 'EE' or (p.pair ~ 'E' and p.operator <> '||') then 'E'
          else 'L'
        end
        when g.letters ~ '[KH]' then 'H'
        when g.letters ~ 'C' then 'C'
        else 'V'
      end
      when g.name = 'COALESCE' then
        -- The first that is certainly not null decides.
        case
          when g.letters ~ '^N*[VUOASQ]' then substring(g.letters from '^N*(.)')
          else coalesce(substring(g.letters from '^N*([^N])'), 'N')
        end
      when g.name = 'NULLIF' then case when g.letters in ('EE', 'NN', 'ZZ', 'KK') then 'N' else left(g.letters, 1) end
      when g.name = 'case' then case
        when g.body like '0N WHEN%' then p.y
        when c.body ~ '^WHEN 0T THEN 0' then substring(c.body from '^WHEN 0T THEN 0(.)')
        when c.body ~ '^ELSE 0' then p.y
        when c.body = '' then 'N'
        when regexp_replace(c.body, '.*?(THEN|ELSE) 0(.)', '\2', 'g') ~ '^[FNXHS]+$' then 'F'
        when regexp_replace(c.body, '.*?(THEN|ELSE) 0(.)', '\2', 'g') ~ '^(.)\1*$' then p.y
        else 'U'
      end
      when g.letters ~ 'X' then 'X'
      when g.name = 'row' and g.letters ~ '^Z*$' then 'Z'
      -- More tenants than one, whoever asks; and what is told nothing of who asks.
      when g.name = 'row' and g.letters ~ '^L{2,}$' and not w.has_context then 'V'
      when g.name = 'plain' and g.letters ~ '^[KHVOULZTF]*$' then 'V'
      when g.name = 'open' then case when w.env = 'd' then 'F' else 'T' end
      when g.name = 'guard' and g.letters ~ '[KHVOU]' then 'H'
      when g.letters ~ '[KH]' then 'H'
      when g.name = 'fallback' then case when w.env = 'd' then 'C' else 'L' end
      when g.name in ('own', 'guard') then case when w.env = 'd' then 'C' else 'N' end
      when g.letters ~ 'C' or g.name ~ '^(current_|session_|inet_client|pg_has_role)' then 'C'
      when g.letters ~ 'N' then 'N'
      when g.letters ~ '[VUOASQ]' or g.letters = '' then 'V'
      when g.letters ~ '^E' then case when g.name ~ 'length' then 'Z' else 'E' end
      else 'L'
    end as token
    from (
      select ltrim(regexp_replace(g.body, 'WHEN 0[FNXHK] THEN 0. ?', '', 'g')) as body
    ) as c
  ) as r
  where w.s like '%(%' and w.step < 300
),
verdict as (
  select
    w.folded_text,
    w.has_context,
    max(w.outcome) filter (where w.env = 'd') as foreign_row,
    max(w.outcome) filter (where w.env <> 'd') as unset_row
  from (
    select
      v.folded_text,
      v.has_context,
      v.env,
      case when v.s like '0T%' then 't' when v.s ~ '^0[FNXHKSZE]' then 'f' else 'u' end collate "C" as outcome
    from worked as v
    where v.s not like '%(%'
  ) as w
  group by w.folded_text, w.has_context
)
select
  c.*,
  f.has_key,
  f.has_alternative,
  f.has_context,
  v.foreign_row,
  v.unset_row
from policy_clause as c
join keyed as k
  on k.expression = c.expression and k.quoted_key = c.quoted_key
  and k.quoted_table is not distinct from c.quoted_table and k.reads_protected = c.reads_protected
join folded as f on f.keyed_text = k.keyed_text and f.reads_protected = k.reads_protected
join verdict as v on v.folded_text = f.s and v.has_context = f.has_context
