-- A tenant table whose key is of another type than the tenants' own.
--
-- What is compared must first be turned into the other type: an index is not used, a policy fails or compares texts
-- that are written in two ways (`A1` and `a1` are one uuid and two texts), a number that does not fit ends in an error,
-- and no foreign key may hold. Without a table of the tenants, the type that most tables have is the right one.
--
-- model: column
-- severity: P2
-- uses: tenant_root, tenant_directory
with recursive base as (
  select y.oid, y.oid as type, y.typtype, y.typbasetype
  from pg_type as y
  where y.oid in (select t.key_type from tenant_root as t union select d.pk_type from tenant_directory as d)
  union all
  select b.oid, y.oid, y.typtype, y.typbasetype
  from base as b
  join pg_type as y on y.oid = b.typbasetype
  where b.typtype = 'd'
),
-- A domain is the type below it; varchar is text with a limit.
plain as (
  select b.oid, case b.type when 'varchar'::regtype then 'text'::regtype else b.type end as type
  from base as b
  where b.typtype <> 'd'
),
wanted as (
  select p.type, d.pk_type as written, format('%s of %s is', quote_ident(d.pk), d.object) as said
  from tenant_directory as d
  join plain as p on p.oid = d.pk_type
  union all
  (
    select p.type, (array_agg(t.key_type order by t.oid))[1], 'most tables'' is'
    from tenant_root as t
    join plain as p on p.oid = t.key_type
    where not exists (select from tenant_directory as d where d.pk_type is not null)
    group by p.type
    order by count(*) desc, p.type
    limit 1
  )
)
select
  t.object,
  '' as role,
  format(
    '%I of %s is %s, and %s %s: what is compared is converted first, and rows of one tenant can be missed or '
      'taken for another''s.',
    t.key, t.object, format_type(t.key_type, null), w.said, format_type(w.written, null)
  ) as detail,
  format('ALTER TABLE %1$s ALTER COLUMN %2$I TYPE %3$s USING %2$I::%3$s;', t.object, t.key,
    format_type(w.written, null)) as remedy,
  t.key as part
from tenant_root as t
join plain as p on p.oid = t.key_type
cross join wanted as w
where p.type <> w.type
