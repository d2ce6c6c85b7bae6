-- A payroll of a schema for each tenant, each with a role of its own, and what they share in `common`.
CREATE SCHEMA common AUTHORIZATION {owner};
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE TABLE common.countries (code text PRIMARY KEY, name text NOT NULL);
ALTER TABLE common.countries OWNER TO {owner};
INSERT INTO common.countries VALUES ('CH', 'Switzerland');
DO $$
DECLARE
  tenant text;
  role text;
BEGIN
  FOREACH tenant IN ARRAY ARRAY['acme', 'beta', 'gamma'] LOOP
    role := 't_' || tenant || '_app_{suffix}';
    EXECUTE format('CREATE SCHEMA t_%s AUTHORIZATION {owner}', tenant);
    EXECUTE format(
      'CREATE TABLE t_%1$s.employees (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, '
      'country text REFERENCES common.countries)', tenant);
    EXECUTE format(
      'CREATE TABLE t_%1$s.payslips (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, '
      'employee_id bigint NOT NULL REFERENCES t_%1$s.employees, amount numeric NOT NULL)', tenant);
    EXECUTE format('CREATE VIEW t_%1$s.totals AS SELECT employee_id, sum(amount) AS amount FROM t_%1$s.payslips GROUP BY 1', tenant);
    EXECUTE format('ALTER TABLE t_%s.employees OWNER TO {owner}', tenant);
    EXECUTE format('ALTER TABLE t_%s.payslips OWNER TO {owner}', tenant);
    EXECUTE format('ALTER VIEW t_%s.totals OWNER TO {owner}', tenant);
    EXECUTE format('GRANT USAGE ON SCHEMA t_%s, common TO %I', tenant, role);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA t_%s TO %I', tenant, role);
    EXECUTE format('GRANT SELECT ON common.countries TO %I', role);
    EXECUTE format('ALTER ROLE %I IN DATABASE {database} SET search_path = t_%s, common', role, tenant);
    EXECUTE format('INSERT INTO t_%1$s.employees (name, country) VALUES (''Ann of %1$s'', ''CH'')', tenant);
    EXECUTE format('INSERT INTO t_%1$s.payslips (employee_id, amount) SELECT id, 1000 FROM t_%1$s.employees', tenant);
  END LOOP;
END $$;
