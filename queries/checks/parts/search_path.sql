-- The schemas of each search_path that is set for a role, a database or a function, in their order.
--
-- `setrole` and `setdatabase` are 0 for all of them, as in pg_db_role_setting; `function` is 0 for what is no
-- function's. "$user" is the role's name where it is one role's, and left out elsewhere.
select w.setrole, w.setdatabase, w.function, r.rolname, e.place, n.name as nspname
from (
  select s.setrole, s.setdatabase, 0::oid as function, substr(c.setting, 13) as value
  from pg_db_role_setting as s
  cross join unnest(s.setconfig) as c (setting)
  where c.setting like 'search\_path=%'
    and s.setdatabase in (0, (select d.oid from pg_database as d where d.datname = current_database()))
  union all
  select 0, 0, p.oid, substr(c.setting, 13)
  from pg_proc as p
  cross join unnest(p.proconfig) as c (setting)
  where p.proconfig is not null and c.setting like 'search\_path=%'
) as w
left join pg_roles as r on r.oid = w.setrole
cross join lateral regexp_matches(w.value, '("(?:[^"]|"")*"|[^",[:space:]][^,]*)', 'g') with ordinality
  as e (names, place)
cross join lateral (
  select case
    when e.names[1] in ('"$user"', '$user') then r.rolname::text
    when e.names[1] like '"%' then replace(substr(e.names[1], 2, length(e.names[1]) - 2), '""', '"')
    else lower(rtrim(e.names[1]))
  end as name
) as n
where n.name <> ''
