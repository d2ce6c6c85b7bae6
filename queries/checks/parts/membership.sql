-- Who can become whom: each role with itself and with all roles that it can reach by memberships.
--
-- `is_usage`: it has that role's privileges without SET ROLE. Memberships of 16 and newer that allow neither are left
-- out.
select r.oid as role, r.oid as becomes, true as is_usage
from pg_roles as r
union all
select w.member, w.becomes, bool_or(w.is_usage)
from (
  with recursive way as (
    select m.member, m.roleid as becomes,
      coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, a.rolinherit) as is_usage
    from pg_auth_members as m
    join pg_roles as a on a.oid = m.member
    where coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, true)
      or coalesce((to_jsonb(m) ->> 'set_option')::boolean, true)
    union
    select w.member, m.roleid,
      w.is_usage and coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, a.rolinherit)
    from way as w
    join pg_auth_members as m on m.member = w.becomes
    join pg_roles as a on a.oid = m.member
    where coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, true)
      or coalesce((to_jsonb(m) ->> 'set_option')::boolean, true)
  )
  select * from way
) as w
group by w.member, w.becomes
