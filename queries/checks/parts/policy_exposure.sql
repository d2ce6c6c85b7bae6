-- Clauses of policies through which an application role gets at rows of other tenants, and what it can do with them.
--
-- `weakness` is always (nothing is asked), keyless (something is, but not whose row it is), or (the key is asked for,
-- or something else will do), open (the key is asked for while the context is set, and not while it is unset).
-- Permissive policies let a row through where one of them does, restrictive ones where all do: a weak permissive one is
-- left out where a restrictive one holds, a weak restrictive one where the permissive ones hold. One tenant's key as a
-- literal is keyless where the same role has a policy by the context, and sound where it has none: that role is the
-- tenant's own. `is_beside`: another
-- permissive policy for the same asks for the key. `bound` is the condition that a remedy can put in its place.
--
-- uses: tenancy, policy_judgement, app_identity, membership
with judged as (
  select
    j.*,
    case
      when j.foreign_row = 'f' and j.has_key and not j.has_context then 'fixed'
      when j.foreign_row = 'f' then case when j.unset_row = 'f' then 'sound' else 'open' end
      when j.foreign_row = 't' and (j.has_key or not j.has_context) then 'always'
      -- A list of literals is no tenant, nor is it all of them.
      when j.has_key and not j.has_context and j.expression like '%ANY (ARRAY[%' then 'keyless'
      when j.has_key and not j.has_context then 'always'
      when j.has_key and j.has_alternative then 'or'
      else 'keyless'
    end as weakness
  from policy_judgement as j
  where not j.is_tenants_table
),
-- All policies of a table with a weak one, by what is done and whether the row is there already: r, w and d, or comes:
-- a and n (the new row of an update).
used as (
  select u.*, o.act
  from (
    select j.*, bool_or(j.weakness <> 'sound') over (partition by j.polrelid) as is_suspect
    from judged as j
  ) as u
  join (
    values ('r', 'r', 'USING'), ('w', 'w', 'USING'), ('d', 'd', 'USING'), ('a', 'a', 'CHECK'), ('w', 'n', 'CHECK')
  ) as o (command, act, clause)
    on u.command in ('*', o.command::"char")
    and u.clause = case when u.has_check then o.clause else 'USING' end
  where u.is_suspect
),
-- Who they apply to, where the role has the privilege and is bound by policies at all.
applied as (
  select
    u.*,
    i.app,
    i.app_name,
    bool_or(u.is_permissive and u.weakness in ('sound', 'fixed', 'open', 'or')) over one as has_keyed,
    bool_or(u.is_permissive and u.has_key and u.has_context and u.weakness in ('sound', 'open', 'or')) over one
      as has_bound,
    bool_or(u.is_permissive and u.weakness not in ('sound', 'fixed')) over one as is_passed_unset,
    bool_or(u.is_permissive and u.weakness not in ('sound', 'fixed', 'open')) over one as is_passed,
    bool_or(not u.is_permissive and u.weakness in ('sound', 'fixed')) over one as is_held_unset,
    bool_or(not u.is_permissive and u.weakness in ('sound', 'fixed', 'open')) over one as is_held,
    bool_or(not u.is_permissive and u.weakness in ('sound', 'fixed', 'open', 'or')) over one as is_held_by_key
  from used as u
  join app_identity as i
    on i.is_settable and not i.is_exempt
    and has_schema_privilege(i.identity, u.relnamespace, 'USAGE')
    and (u.relforcerowsecurity or not pg_has_role(i.identity, u.relowner, 'USAGE'))
  where (
      u.is_for_public
      or exists (
        select from membership as m where m.role = i.identity and m.is_usage and m.becomes = any (u.polroles)
      )
    )
    and case
      when u.act = 'd' then has_table_privilege(i.identity, u.polrelid, 'DELETE')
      else has_any_column_privilege(
        i.identity, u.polrelid, case u.act when 'r' then 'SELECT' when 'a' then 'INSERT' else 'UPDATE' end
      )
    end
  window one as (partition by u.polrelid, i.app, i.identity, u.act)
)
select
  a.oid,
  a.object,
  a.polname,
  a.app_name,
  a.clause,
  case a.weakness when 'fixed' then 'keyless' else a.weakness end as weakness,
  a.is_permissive,
  a.expression,
  bool_or(a.is_permissive and a.has_keyed and a.weakness in ('always', 'keyless', 'fixed')) as is_beside,
  concat_ws(
    ', ',
    case when bool_or(a.act = 'r') then 'read' end,
    case when bool_or(a.act = 'a') then 'add' end,
    case when bool_or(a.act in ('w', 'n')) then 'change' end,
    case when bool_or(a.act = 'd') then 'delete' end
  ) as verbs,
  format(
    '%I = current_setting(%L)::%s', a.key, coalesce(c.setting, 'app.tenant_id'), format_type(a.key_type, null)
  ) as bound
from applied as a
cross join tenancy as c
where case
  when a.weakness = 'open' then not a.is_held_unset and (a.is_permissive or a.is_passed_unset)
  when a.weakness = 'or' and not a.is_permissive then a.is_passed and not a.is_held
  when a.weakness = 'fixed' then a.is_permissive and a.has_bound and not a.is_held_by_key
  when a.weakness in ('always', 'keyless', 'or') then a.is_permissive and not a.is_held_by_key
end
group by a.oid, a.object, a.polname, a.app_name, a.clause, a.weakness, a.is_permissive, a.expression, a.key,
  a.key_type, c.setting
