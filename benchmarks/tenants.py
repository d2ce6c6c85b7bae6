"""Databases of many tenants for `benchmarks.checks`: a schema for each, or shared tables with row level security."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg

from sbpgmon.tenancy import Tenancy

TABLES_A_SCHEMA = 20
SCHEMAS = Tenancy.model_validate(
    {
        "confirmed": True,
        "model": ["schema"],
        "roles": {"admin": ["tenancy_owner"]},
        "shared": {"schemas": ["common"]},
        "schemas": {"pattern": "^t_(?P<tenant>.+)$", "role": "t_{tenant}_app"},
    }
)
POOL = Tenancy.model_validate(
    {
        "confirmed": True,
        "model": ["rls", "column"],
        "key": {"columns": ["tenant_id"], "tenants_table": "app.tenants", "tenants_pk": "id"},
        "pool_schemas": ["app"],
        "shared": {"schemas": ["ref"]},
        "context": {"setting": "app.tenant_id", "scope": "transaction"},
        "roles": {"app": ["app_web", "app_jobs", "app_report"], "admin": ["tenancy_owner"]},
    }
)
# The two databases themselves, as if each were a tenant's.
DATABASES = Tenancy.model_validate(
    {"confirmed": True, "model": ["database"], "databases": {"pattern": "^(?P<tenant>pool|schemas)$"}}
)
_COLUMNS = (
    "code text NOT NULL, state text NOT NULL DEFAULT 'new', amount numeric(18,2), note varchar(200), "
    "created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz, payload jsonb"
)


def create_owner(connection: psycopg.Connection[Any]) -> None:
    """The role that all tables belong to, and the logins of the shared tables."""
    connection.execute(b"CREATE ROLE tenancy_owner NOLOGIN")
    for role in POOL.roles.app:
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())


def create_schemas(connection: psycopg.Connection[Any], tenants: int, advance: Callable[[], None]) -> None:
    """A schema of 20 tables for each tenant, with a view, two functions, a trigger and a role of its own."""
    _run(connection, "CREATE SCHEMA common AUTHORIZATION tenancy_owner", "SET ROLE tenancy_owner")
    _run(
        connection,
        "CREATE TABLE common.countries (code text PRIMARY KEY, name text NOT NULL)",
        "CREATE FUNCTION common.stamp() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN NEW.updated_at := now(); RETURN NEW; END'",
        "RESET ROLE",
    )
    for number in range(1, tenants + 1):
        _run(connection, *_schema(f"t_{number:04}"))
        advance()
    _run(connection, "VACUUM ANALYZE")


def _schema(name: str) -> list[str]:
    role = f"{name}_app"
    lines = [
        f"CREATE ROLE {role} LOGIN",
        f"CREATE SCHEMA {name} AUTHORIZATION tenancy_owner",
        f"GRANT USAGE ON SCHEMA {name}, common TO {role}",
        "SET ROLE tenancy_owner",
    ]
    for number in range(TABLES_A_SCHEMA):
        parent = f"REFERENCES {name}.table_{number - 1:02}" if number else "NOT NULL"
        lines.append(
            f"CREATE TABLE {name}.table_{number:02} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
            f"parent_id bigint {parent}, country text REFERENCES common.countries, {_COLUMNS})"
        )
        lines.append(f"CREATE INDEX ON {name}.table_{number:02} (parent_id)")
    lines += [
        f"CREATE VIEW {name}.totals AS SELECT b.code, sum(a.amount) AS amount FROM {name}.table_01 AS a "
        f"JOIN {name}.table_00 AS b ON b.id = a.parent_id GROUP BY b.code",
        f"CREATE FUNCTION {name}.total() RETURNS numeric LANGUAGE sql STABLE "
        f"AS 'SELECT sum(amount) FROM {name}.totals'",
        f"CREATE FUNCTION {name}.close(which bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN\n"
        f"  UPDATE {name}.table_00 SET state = 'closed' WHERE id = which;\n"
        f"  INSERT INTO {name}.table_01 (parent_id, code) VALUES (which, 'closed');\nEND $$",
        f"CREATE TRIGGER stamp BEFORE UPDATE ON {name}.table_00 FOR EACH ROW EXECUTE FUNCTION common.stamp()",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {role}",
        f"GRANT SELECT ON common.countries TO {role}",
        "RESET ROLE",
        f"ALTER ROLE {role} SET search_path = {name}, common",
    ]
    return lines


def create_pool(connection: psycopg.Connection[Any], tables: int, advance: Callable[[], None]) -> None:
    """Shared tables with row level security, a view and a function to every fifth, and those of all tenants."""
    roles = ", ".join(POOL.roles.app)
    _run(
        connection,
        "CREATE SCHEMA app AUTHORIZATION tenancy_owner",
        "CREATE SCHEMA ref AUTHORIZATION tenancy_owner",
        f"GRANT USAGE ON SCHEMA app, ref TO {roles}",
        "SET ROLE tenancy_owner",
        "CREATE TABLE app.tenants (id uuid PRIMARY KEY, name text NOT NULL)",
        "CREATE TABLE ref.countries (code text PRIMARY KEY, name text NOT NULL)",
        f"GRANT SELECT ON app.tenants, ref.countries TO {roles}",
        "CREATE FUNCTION app.current_tenant() RETURNS uuid LANGUAGE sql STABLE "
        "AS $$ SELECT current_setting('app.tenant_id')::uuid $$",
        "RESET ROLE",
    )
    for number in range(tables):
        _run(connection, "SET ROLE tenancy_owner", *_table(number, roles), "RESET ROLE")
        advance()
    _run(connection, "VACUUM ANALYZE")


def _table(number: int, roles: str) -> list[str]:
    name = f"app.table_{number:04}"
    # Chains of ten: a foreign key with the tenant to the table before.
    parent = (
        f", FOREIGN KEY (tenant_id, parent_id) REFERENCES app.table_{number - 1:04} (tenant_id, id)"
        if number % 10
        else ""
    )
    lines = [
        f"CREATE TABLE {name} (tenant_id uuid NOT NULL REFERENCES app.tenants, "
        "id bigint GENERATED ALWAYS AS IDENTITY, parent_id bigint, country text REFERENCES ref.countries, "
        f"{_COLUMNS}, PRIMARY KEY (tenant_id, id){parent})",
        f"CREATE INDEX ON {name} (tenant_id, parent_id)",
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY reading ON {name} FOR SELECT USING (tenant_id = current_setting('app.tenant_id')::uuid)",
        f"CREATE POLICY writing ON {name} FOR ALL USING (tenant_id = app.current_tenant()) "
        "WITH CHECK (tenant_id = app.current_tenant())",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {roles}",
    ]
    if number % 5 == 0:
        lines += [
            f"CREATE VIEW {name}_open AS SELECT tenant_id, id, code FROM {name} WHERE state <> 'closed'",
            f"GRANT SELECT ON {name}_open TO {roles}",
            f"CREATE FUNCTION {name}_total(which text) RETURNS numeric LANGUAGE plpgsql STABLE AS $$ BEGIN\n"
            f"  RETURN (SELECT sum(amount) FROM {name} WHERE code = which);\nEND $$",
        ]
    return lines


def _run(connection: psycopg.Connection[Any], *statements: str) -> None:
    """In autocommit: one transaction of thousands of tables would run out of locks."""
    for statement in statements:
        connection.execute(statement.encode())
