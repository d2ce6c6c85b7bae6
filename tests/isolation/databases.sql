-- A surgery's records, in a database of each tenant's own.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA app AUTHORIZATION {owner};
DO $$
DECLARE
  role text := regexp_replace(current_database(), '_([^_]+)$', '_app_\1');
BEGIN
  SET LOCAL ROLE {owner};
  CREATE TABLE app.patients (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
  INSERT INTO app.patients (name) VALUES ('Ann of ' || current_database());
  EXECUTE format('GRANT USAGE ON SCHEMA app TO %I', role);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON app.patients TO %I', role);
END $$;
