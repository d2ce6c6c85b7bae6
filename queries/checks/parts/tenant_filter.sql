-- How text says "the key is the tenant of the context": a regular expression, for the bodies of views and functions.
--
-- `reads_context` is the half that reads the context: the setting, or a function that does. `opening` is what undoes
-- such a comparison: an OR, or another value where the context is not set. One row.
--
-- uses: tenancy
select
  w.reads_context,
  '\mor\M|\m(?:coalesce|case\s+when)' || w.wrapping || w.reads_context as opening,
  w.key || '\s*=\s*' || w.wrapping || w.reads_context
    || '|' || w.reads_context || '(?:(?!\m(?:and|or)\M)[^=<>])*=[(\s]*' || w.key as pattern
from (
  select
    '(?:[(\s]|select\s|nullif\s*\(|cast\s*\()*' as wrapping,
    '(?:[\w"]+\.)?"?\m(?:' || coalesce(nullif(array_to_string(t.key_columns, '|'), ''), 'tenant_id')
      || ')\M[")]*(?:\s*::\s*[\w ]+)?\)*' as key,
    '(?:current_setting\s*\(\s*''' || coalesce(replace(t.setting, '.', '\.'), '[^'']+') || ''''
      || coalesce(
        (
          select '|(?:[\w"]+\.)?"?\m(?:' || string_agg(distinct p.proname, '|') || ')\M"?\s*\('
          from pg_proc as p
          where p.oid >= 16384 and p.prokind = 'f' and not p.proretset and p.proname ~ '^\w+$'
            and coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)
              ~* ('current_setting\s*\(\s*''' || coalesce(replace(t.setting, '.', '\.'), '[^'']+') || '''')
        ), ''
      ) || ')' as reads_context
  from tenancy as t
) as w
