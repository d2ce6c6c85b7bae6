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
      then format('DROP PUBLICATION IF EXISTS %I; -- and publish tables by name, each with a row filter', p.pubname)
    else concat_ws(
      ' ',
      string_agg(distinct format('ALTER PUBLICATION %I DROP TABLE %s;', p.pubname, x.published), ' ')
        filter (where x.published is not null),
      string_agg(distinct format('ALTER PUBLICATION %I DROP TABLES IN SCHEMA %I;', p.pubname, x.schema), ' ')
        filter (where x.published is null),
      case
        when current_setting('server_version_num')::integer >= 150000
          then format('-- and then: ALTER PUBLICATION %I ADD TABLE %s WHERE (%s = …);', p.pubname, r.object,
            min(quote_ident(t.key)))
      end
    )
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
-- What was added by name: the table, or one that it is a partition of. Otherwise its schema was.
cross join lateral (
  select
    t.nspname as schema,
    (
      select w.prrelid::regclass::text
      from pg_publication_rel as w
      where w.prpubid = b.oid and (w.prrelid = t.oid or w.prrelid in (select pg_partition_ancestors(t.oid)))
      order by w.prrelid = t.oid desc
      limit 1
    ) as published
) as x
where to_jsonb(p) ->> 'rowfilter' is null
group by r.object, p.pubname, b.puballtables
order by 1, 3
