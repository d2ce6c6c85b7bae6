-- A publication that carries the rows of all tenants away, without a row filter.
--
-- Row level security does not bind what is published: whoever may subscribe gets every tenant's rows.
--
-- model: rls
-- severity: P2
-- uses: tenant_table
select
  -- Partitions are published with the table that they are of.
  r.object,
  '' as role,
  quote_ident(p.pubname) as part,
  format('The publication %s carries the rows of every tenant in %s to whoever subscribes.', quote_ident(p.pubname),
    r.object) as detail,
  case
    when b.puballtables
      then format('Publish tables by name, each with a row filter, instead of FOR ALL TABLES: DROP PUBLICATION %I;',
        p.pubname)
    when current_setting('server_version_num')::integer >= 150000
      then format('ALTER PUBLICATION %I SET TABLE %s WHERE (%s = …), and the other tables of it.', p.pubname, r.object,
        min(quote_ident(t.key)))
    else format('ALTER PUBLICATION %I DROP TABLE %s;', p.pubname, r.object)
  end as remedy
from pg_publication_tables as p
join pg_publication as b on b.pubname = p.pubname
join tenant_table as t on t.nspname = p.schemaname and t.relname = p.tablename
cross join lateral (
  select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as object
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where c.oid = coalesce(pg_partition_root(t.oid)::oid, t.oid)
) as r
where to_jsonb(p) ->> 'rowfilter' is null
group by r.object, p.pubname, b.puballtables
order by 1, 3
