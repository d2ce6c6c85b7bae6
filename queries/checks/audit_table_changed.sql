-- Rows of a table that only grows were updated or deleted.
--
-- By the statistics of the server, since they were last reset: the finding stays open until somebody has looked and
-- says so by a reset of that table's statistics, or allows it. The view audit_changes tells when it was, and how many.
-- A statement that was rolled back counts as well; a TRUNCATE does not.
--
-- model: all
-- severity: P1
-- uses: tenancy, audit_table
select
  a.declared as object,
  '' as role,
  format(
    'Rows of %s were updated (%s) or deleted (%s) since %s: what was done may not be what it says any more.',
    a.declared,
    sum(pg_stat_get_tuples_updated(a.oid)),
    sum(pg_stat_get_tuples_deleted(a.oid)),
    coalesce(
      (
        select to_char(d.stats_reset at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
        from pg_stat_database as d
        where d.datname = current_database()
      ),
      'its statistics began'
    )
  ) as detail,
  format(
    'Find out who did it. Then %s',
    string_agg(
      format('SELECT pg_stat_reset_single_table_counters(%s);', quote_literal(a.object) || '::regclass'),
      ' ' order by a.object
    ) filter (where pg_stat_get_tuples_updated(a.oid) + pg_stat_get_tuples_deleted(a.oid) > 0)
  ) as remedy
from audit_table as a
where a.relkind = 'r'
group by a.declared
having sum(pg_stat_get_tuples_updated(a.oid) + pg_stat_get_tuples_deleted(a.oid)) > 0
