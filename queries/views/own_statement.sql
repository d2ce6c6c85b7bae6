-- The agent's own statements, among the top-level statements of each target.
--
-- Those of the role that it polls with: the ones that bear the marker `/* sbpgmon:NAME */`, and the others too, since
-- that role is to be the agent's own; of a superuser only those with the marker, since people use it as well. And, where
-- the store is on the target's own server, the statements of the owner of `monitoring` whose text names `monitoring.`.
--
-- needs: stat_statements, server
-- columns:
--   part       poll: reads the target; store: writes the history
--   metric     metric that is read, or probe, begin, describe, texts; '' for others
--   series_id  of stat_statements
--   target_id  as in the metrics' views
select
  split_part(l.label, ' ', 1) as part,
  split_part(l.label, ' ', 2) as metric,
  l.series_id,
  l.target_id
from (
  select
    s.series_id,
    s.target_id,
    case
      when r.is_polling and x.query ~ '/\* sbpgmon:[a-z][a-z0-9_]* \*/'
      then 'poll ' || substring(x.query from '/\* sbpgmon:([a-z][a-z0-9_]*) \*/')
      when r.is_owner and x.query ~ '\mmonitoring\.'
      then 'store '
      when r.is_polling and not r.usesuper
      then 'poll '
    end as label
  from monitoring.stat_statements_series as s
  join (
    select
      u.target_id,
      u.userid,
      bool_or(u.is_polling) as is_polling,
      bool_or(u.usesuper) as usesuper,
      bool_or(u.is_owner) as is_owner
    from (
      select k.target_id, a.userid, true as is_polling, coalesce(a.usesuper, false) as usesuper, false as is_owner
      from monitoring.server_attributes as a
      join monitoring.server_series as k on k.series_id = a.series_id
      where a.userid is not null
      union all
      select t.target_id, n.nspowner, false, false, true
      from monitoring.target as t
      join pg_catalog.pg_namespace as n on n.nspname = 'monitoring'
      where t.system_identifier = (select p.system_identifier from pg_catalog.pg_control_system() as p)
    ) as u
    group by u.target_id, u.userid
  ) as r on r.target_id = s.target_id and r.userid = s.userid
  left join monitoring.statement_text_of as o on o.series_id = s.series_id
  left join monitoring.statement_text as x on x.text_id = o.text_id
  where s.toplevel
) as l
where l.label is not null
