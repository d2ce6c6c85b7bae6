-- What each view and materialized view of any schema reads directly, by the dependencies of its rule.
--
-- `checker` is the role whose rights hold for what the view reads; NULL: those of whoever asks (security_invoker).
select
  v.oid as view,
  v.relkind,
  s.source,
  case when not o.is_invoker then v.relowner end as checker
from (
  select distinct w.ev_class, d.refobjid as source
  from pg_rewrite as w
  join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
    and d.refclassid = 'pg_class'::regclass and d.refobjid <> w.ev_class
  where w.ev_type = '1' and w.ev_class >= 16384 -- the first OID that is none of initdb's
) as s
join pg_class as v on v.oid = s.ev_class and v.relkind in ('v', 'm')
cross join lateral (
  select v.relkind = 'v' and coalesce(
    (
      select x.option_value::boolean
      from pg_options_to_table(v.reloptions) as x
      where x.option_name = 'security_invoker'
    ), false
  ) as is_invoker
) as o
