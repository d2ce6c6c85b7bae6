-- Names of roles, which outlive the roles in statements' history.
--
-- interval: 5m
-- scope: instance
-- columns:
--   userid         key   oid      OID of the role
--   usename        info  text     name of the role
--   rolsuper       info  boolean  a superuser
--   rolbypassrls   info  boolean  bypasses row level security
--   rolcanlogin    info  boolean  may log in
select oid as userid, rolname::text as usename, rolsuper, rolbypassrls, rolcanlogin
from pg_roles
