-- What it does about tenants
--
-- How the statement stands towards the isolation of tenants, for each user, now and before: the verdict, the table that
-- decided it, and why. Empty where no tenancy is declared for the target, or the statement touches no tenants' table.
--
-- kind: table
-- unit: short
-- needs: statement_verdict
-- size: 12x8
-- instant: yes
-- links: security
-- columns:
--   verdict      label  Verdict  states: cross_tenant critical, cross_schema critical, suspected warning, idor_prone warning, session_context warning, unparsed info, unjudged info, scoped success, derived success, rls_covered success
--   usename      label  User
--   datname      label  Database
--   relation     label  Table
--   reason       label  Why  width: 320
--   check_name   label  Check
--   allowed      label  Allowed because
--   calls        value  Calls that fail the check
--   last_called  time   Last called
--   valid_from   time   Since
--   valid_to     time   Until
select
  v.verdict,
  v.usename,
  v.datname,
  v.relation,
  v.reason,
  v.check_name,
  v.allowed,
  v.calls,
  v.last_called,
  nullif(v.valid_from, '-infinity') as valid_from,
  nullif(v.valid_to, 'infinity') as valid_to
from monitoring.statement_verdict as v
where v.target = ${target:sqlstring}
  and v.queryid::text = ${queryid:sqlstring}
order by v.valid_to desc, v.calls desc nulls last, v.usename, v.datname
limit 50
