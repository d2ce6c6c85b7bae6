-- Payrolls: tenants by a code in words, an application of its own making, and much beside it that is nobody's hole.
--
-- Policies for each command with a restrictive one, partitions that nobody was granted, operators who see all by a
-- policy of their own, SECURITY DEFINER triggers, extensions, a foreign table, a materialized view, exclusions.
CREATE EXTENSION citext;
CREATE EXTENSION btree_gist;
CREATE EXTENSION postgres_fdw;
CREATE SCHEMA pay AUTHORIZATION {owner};
CREATE SCHEMA ops AUTHORIZATION {owner};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA pay TO {app}, {admin}, {report};
GRANT USAGE ON SCHEMA ops TO {admin}, {report};
CREATE SERVER warehouse FOREIGN DATA WRAPPER postgres_fdw;
GRANT USAGE ON FOREIGN SERVER warehouse TO {owner};
SET ROLE {owner};

CREATE TABLE pay.tenants (code text PRIMARY KEY CHECK (code ~ '^[a-z]+$'), legal_name text NOT NULL);
CREATE TABLE pay.currencies (iso char(3) PRIMARY KEY);
CREATE TABLE pay.employees (
  tenant_code text NOT NULL REFERENCES pay.tenants,
  id integer GENERATED ALWAYS AS IDENTITY,
  email citext NOT NULL,
  full_name text NOT NULL,
  initial text GENERATED ALWAYS AS (left(full_name, 1)) STORED,
  manager_id integer,
  PRIMARY KEY (tenant_code, id),
  UNIQUE (tenant_code, email),
  FOREIGN KEY (tenant_code, manager_id) REFERENCES pay.employees DEFERRABLE
);
CREATE TABLE pay.salaries (
  tenant_code text NOT NULL,
  employee_id integer NOT NULL,
  valid daterange NOT NULL,
  gross numeric NOT NULL,
  currency char(3) NOT NULL REFERENCES pay.currencies,
  PRIMARY KEY (tenant_code, employee_id, valid),
  FOREIGN KEY (tenant_code, employee_id) REFERENCES pay.employees ON DELETE CASCADE,
  EXCLUDE USING gist (tenant_code WITH =, employee_id WITH =, valid WITH &&)
);
CREATE TABLE pay.accounts (
  tenant_code text NOT NULL REFERENCES pay.tenants,
  employee_id integer NOT NULL,
  iban text NOT NULL,
  is_primary boolean NOT NULL DEFAULT true,
  PRIMARY KEY (tenant_code, employee_id, iban),
  FOREIGN KEY (tenant_code, employee_id) REFERENCES pay.employees
);
CREATE UNIQUE INDEX one_primary ON pay.accounts (tenant_code, employee_id) WHERE is_primary;
CREATE TABLE pay.slips (
  tenant_code text NOT NULL REFERENCES pay.tenants,
  id bigint GENERATED ALWAYS AS IDENTITY,
  month date NOT NULL,
  net numeric NOT NULL,
  PRIMARY KEY (tenant_code, id, month)
) PARTITION BY RANGE (month);
CREATE TABLE pay.slips_2026 PARTITION OF pay.slips FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE pay.slips_rest PARTITION OF pay.slips DEFAULT;
CREATE TABLE pay.ledger (
  tenant_code text NOT NULL REFERENCES pay.tenants,
  id bigint GENERATED ALWAYS AS IDENTITY,
  amount numeric NOT NULL,
  PRIMARY KEY (tenant_code, id)
) PARTITION BY HASH (tenant_code);
CREATE TABLE pay.ledger_0 PARTITION OF pay.ledger FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE pay.ledger_1 PARTITION OF pay.ledger FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE pay.audit (
  tenant_code text NOT NULL,
  id bigint GENERATED ALWAYS AS IDENTITY,
  at timestamptz NOT NULL DEFAULT now(),
  row jsonb NOT NULL,
  PRIMARY KEY (tenant_code, id)
);

-- An unset context is an error.
CREATE FUNCTION pay.tenant() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  v text := current_setting('pay.tenant', true);
BEGIN
  IF v IS NULL OR v = '' THEN
    RAISE EXCEPTION 'no tenant';
  END IF;
  RETURN v;
END $$;
CREATE FUNCTION pay.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO pay.audit (tenant_code, row) VALUES (new.tenant_code, to_jsonb(new));
  RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE ON pay.salaries FOR EACH ROW EXECUTE FUNCTION pay.note();
CREATE FUNCTION pay.headcount() RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT count(*) FROM pay.employees $$;
CREATE FUNCTION ops.purge(t text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$ DELETE FROM pay.audit WHERE tenant_code = t $$;

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['employees', 'salaries', 'accounts', 'slips', 'ledger', 'audit'] LOOP
    EXECUTE format('ALTER TABLE pay.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['employees', 'slips', 'ledger'] LOOP
    EXECUTE format('CREATE POLICY sel ON pay.%I FOR SELECT TO {app} USING (tenant_code = pay.tenant())', name);
    EXECUTE format('CREATE POLICY ins ON pay.%I FOR INSERT TO {app} WITH CHECK (tenant_code = pay.tenant())', name);
    EXECUTE format('CREATE POLICY upd ON pay.%I FOR UPDATE TO {app} USING (tenant_code = pay.tenant()) '
      'WITH CHECK (tenant_code = pay.tenant())', name);
    EXECUTE format('CREATE POLICY del ON pay.%I FOR DELETE TO {app} USING (tenant_code = pay.tenant())', name);
    EXECUTE format('CREATE POLICY guard ON pay.%I AS RESTRICTIVE TO {app} USING (tenant_code = pay.tenant())', name);
    EXECUTE format('CREATE POLICY operators ON pay.%I FOR SELECT TO {report} USING (true)', name);
  END LOOP;
END $$;
CREATE POLICY own ON pay.salaries USING (tenant_code = current_setting('pay.tenant'));
CREATE POLICY own ON pay.accounts USING (tenant_code = (SELECT current_setting('pay.tenant', true)) AND iban <> '');
CREATE POLICY own ON pay.audit USING (tenant_code = current_setting('pay.tenant'));
CREATE POLICY not_later ON pay.audit AS RESTRICTIVE FOR INSERT WITH CHECK (at <= now() + interval '1 hour');
ALTER TABLE pay.tenants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON pay.tenants USING (code = current_setting('pay.tenant'));

CREATE VIEW pay.directory WITH (security_barrier) AS SELECT tenant_code, id, full_name FROM pay.employees;
CREATE VIEW ops.employees AS SELECT * FROM pay.employees;
CREATE MATERIALIZED VIEW ops.totals AS
  SELECT tenant_code, sum(gross) AS gross FROM pay.salaries GROUP BY 1 WITH NO DATA;
CREATE FOREIGN TABLE pay.old_salaries (tenant_code text NOT NULL, gross numeric) SERVER warehouse;

GRANT SELECT, INSERT, UPDATE, DELETE ON pay.employees, pay.salaries, pay.accounts, pay.slips, pay.ledger TO {app};
GRANT SELECT ON pay.audit, pay.tenants, pay.currencies, pay.directory TO {app};
GRANT SELECT ON ALL TABLES IN SCHEMA pay TO {admin};
GRANT SELECT ON pay.employees, pay.slips, pay.ledger TO {report};
GRANT SELECT ON ALL TABLES IN SCHEMA ops TO {admin}, {report};
GRANT EXECUTE ON FUNCTION pay.tenant(), pay.headcount() TO {app};
GRANT EXECUTE ON FUNCTION ops.purge(text) TO {admin};
RESET ROLE;
CREATE PUBLICATION hq FOR TABLE pay.currencies;

INSERT INTO pay.tenants VALUES ('acme', 'Acme Inc'), ('beta', 'Beta Ltd');
INSERT INTO pay.currencies VALUES ('EUR');
INSERT INTO pay.employees (tenant_code, email, full_name) SELECT code, 'ceo@' || code, legal_name FROM pay.tenants;
INSERT INTO pay.slips (tenant_code, month, net) SELECT code, '2026-03-01', 100 FROM pay.tenants;
INSERT INTO pay.ledger (tenant_code, amount) SELECT code, 100 FROM pay.tenants;
