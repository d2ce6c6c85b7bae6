-- The server is older than a published repair of row level security.
--
-- In such a version a tenant's statement can see or write rows that a correct policy hides. The numbers are those of
-- PostgreSQL's release notes; https://www.postgresql.org/support/security/ has a page for each.
--
-- model: rls
-- severity: P2
-- uses: guarded_relation
with repaired (cve, version, what) as (
  values
    -- Release notes of 14.8 and 15.3, 2023-05-11: policies of another role after a function was inlined.
    ('CVE-2023-2455', 140008, 'policies of another role after inlining'),
    ('CVE-2023-2455', 150003, 'policies of another role after inlining'),
    -- Release notes of 15.4, 2023-08-10: MERGE does not enforce UPDATE and SELECT policies. MERGE is new in 15.
    ('CVE-2023-39418', 150004, 'MERGE without UPDATE and SELECT policies'),
    -- Release notes of 14.14, 15.9, 16.5 and 17.1, 2024-11-14: plans kept for another role, below the top level.
    ('CVE-2024-10976', 140014, 'plans kept for another role'),
    ('CVE-2024-10976', 150009, 'plans kept for another role'),
    ('CVE-2024-10976', 160005, 'plans kept for another role'),
    ('CVE-2024-10976', 170001, 'plans kept for another role'),
    -- Release notes of 14.19, 15.14, 16.10 and 17.6, 2025-08-14: sampled values of hidden rows through statistics.
    ('CVE-2025-8713', 140019, 'sampled values of hidden rows through statistics'),
    ('CVE-2025-8713', 150014, 'sampled values of hidden rows through statistics'),
    ('CVE-2025-8713', 160010, 'sampled values of hidden rows through statistics'),
    ('CVE-2025-8713', 170006, 'sampled values of hidden rows through statistics'),
    -- 14.25, 15.20, 16.16, 17.12 and 18.7: rows are read through INSERT ... ON CONFLICT DO UPDATE.
    ('CVE-2026-120154', 140025, 'every row read through INSERT … ON CONFLICT DO UPDATE'),
    ('CVE-2026-120154', 150020, 'every row read through INSERT … ON CONFLICT DO UPDATE'),
    ('CVE-2026-120154', 160016, 'every row read through INSERT … ON CONFLICT DO UPDATE'),
    ('CVE-2026-120154', 170012, 'every row read through INSERT … ON CONFLICT DO UPDATE'),
    ('CVE-2026-120154', 180007, 'every row read through INSERT … ON CONFLICT DO UPDATE')
),
server as (
  select current_setting('server_version_num')::integer as version
)
select
  'server' as object,
  '' as role,
  format('Row level security of PostgreSQL %s.%s has published holes by which a tenant sees or writes other tenants'' '
    'rows: %s.', s.version / 10000, s.version % 10000, string_agg(format('%s (%s; repaired in %s.%s)', r.cve, r.what,
    r.version / 10000, r.version % 10000), ', ' order by r.version)) as detail,
  format('Update the server to %s.%s or newer.', s.version / 10000, max(r.version) % 10000) as remedy
from server as s
join repaired as r on r.version / 10000 = s.version / 10000 and r.version > s.version
where exists (select from guarded_relation as g where g.relrowsecurity)
group by s.version
