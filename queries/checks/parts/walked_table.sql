-- Tables of the pool as a sweep reads them.
--
-- `rows` is the name in FROM: a table without those that inherit from it, a partitioned one with its partitions.
-- `row_name` is an expression, of the alias c, that a row is called by: its primary key, else where it lies;
-- `row_columns` are the columns that it reads.
--
-- uses: pool_relation
select
  r.oid,
  case r.relkind when 'r' then 'only ' else '' end || r.object as rows,
  coalesce(k.row_name, '''ctid '' || c.ctid::text') as row_name,
  coalesce(k.row_columns, '{}') as row_columns
from pool_relation as r
left join (
  select
    i.indrelid,
    string_agg(format('%L || c.%I::text', a.attname || ' ', a.attname), ' || '', '' || ' order by w.place) as row_name,
    array_agg(a.attname::text order by w.place) as row_columns
  from pg_index as i
  cross join lateral unnest(i.indkey::int2[]) with ordinality as w (attnum, place)
  join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = w.attnum
  where i.indisprimary and w.place <= i.indnkeyatts
  group by i.indrelid
) as k on k.indrelid = r.oid
