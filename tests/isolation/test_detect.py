"""What the catalogs tell of how tenants are kept apart, where nothing is declared."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from sbpgmon.collect.checks import run_checks
from sbpgmon.collect.isolation import chosen_checks
from sbpgmon.collect.tenancy import Detection, Known, detect_tenancy, know
from sbpgmon.config import Target
from sbpgmon.findings import Finding
from sbpgmon.present.detect import is_found, toml
from sbpgmon.sources.probe import probe
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Tenancy
from tests.conftest import Database
from tests.isolation.world import CATALOG, World


def _found(target: Target) -> Detection:
    with Session(target, 5.0) as session:
        return detect_tenancy(session, probe(session))


def _pasted(found: Detection) -> Tenancy:
    return Tenancy.model_validate(tomllib.loads(toml(found, "app"))["tenancy"])


def _known(world: World, **declared: Any) -> Known:
    with Session(world.target, 5.0) as session:
        return know(session, probe(session), Tenancy.model_validate(declared))


def _planted(database: Database, sql: str) -> Detection:
    with database.connect() as admin:
        admin.execute(sql.encode())
    return _found(Target(name="app", dsn=database.dsn()))


def test_shared_tables_are_found_as_they_are_declared(pool: World) -> None:
    assert _pasted(_found(pool.target)) == pool.tenancy({"confirmed": False})


def test_schemas_are_found_as_they_are_declared(schemas: World) -> None:
    declared = schemas.tenancy({"confirmed": False, "roles": {}})
    assert _pasted(_found(schemas.target)) == declared


def test_a_schema_that_drifted_is_one_still(schemas: World) -> None:
    schemas.run("DROP VIEW t_beta.totals; DROP TABLE t_beta.payslips; CREATE TABLE t_acme.notes (body text)")
    assert [member.tenant for member in _found(schemas.target).known.tenant_schemas] == ["acme", "beta", "gamma"]


def test_a_shared_schema_of_such_a_name_is_none(schemas: World) -> None:
    schemas.run(
        "CREATE SCHEMA t_reports; CREATE TABLE t_reports.daily (day date); CREATE TABLE t_reports.hourly (h int)"
    )
    found = _found(schemas.target)
    assert [member.tenant for member in found.known.tenant_schemas] == ["acme", "beta", "gamma"]
    assert sorted(found.known.shared_schemas) == ["common", "t_reports"]


def test_nothing_is_found_in_an_empty_database(database: Database) -> None:
    found = _planted(database, "SELECT")
    assert not is_found(found)
    assert not found.known.detected


SINGLE = """
CREATE TABLE users (id bigint PRIMARY KEY, email text);
CREATE TABLE products (id bigint PRIMARY KEY, name text);
CREATE TABLE customers (id bigint PRIMARY KEY, user_id bigint REFERENCES users);
CREATE TABLE addresses (id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, user_id bigint);
CREATE TABLE order_lines (order_id bigint REFERENCES orders, product_id bigint REFERENCES products,
  PRIMARY KEY (order_id, product_id));
CREATE TABLE reviews (id bigint PRIMARY KEY, customer_id bigint REFERENCES customers, product_id bigint);
CREATE TABLE carts (id bigint PRIMARY KEY, customer_id bigint REFERENCES customers, user_id bigint REFERENCES users);
CREATE SCHEMA audit; CREATE TABLE audit.log (id bigint, what text); CREATE TABLE audit.settings (name text);
CREATE SCHEMA jobs; CREATE TABLE jobs.job (id bigint); CREATE TABLE jobs.settings (name text);
CREATE SCHEMA mail; CREATE TABLE mail.letter (id bigint); CREATE TABLE mail.settings (name text);
"""


def test_nothing_is_found_in_an_application_without_tenants(database: Database) -> None:
    assert not is_found(_planted(database, SINGLE))


HELPER = """
CREATE SCHEMA auth;
CREATE TABLE organizations (id int PRIMARY KEY, name text, plan_code text);
CREATE TABLE plans (code text PRIMARY KEY);
ALTER TABLE organizations ADD FOREIGN KEY (plan_code) REFERENCES plans;
CREATE TABLE members (id int PRIMARY KEY, org_id int NOT NULL REFERENCES organizations, owner_id int);
CREATE TABLE invoices (id int PRIMARY KEY, org_id int NOT NULL REFERENCES organizations,
  plan_code text REFERENCES plans, deleted_at timestamptz);
CREATE TABLE lines (id int PRIMARY KEY, invoice_id int NOT NULL REFERENCES invoices);
CREATE FUNCTION auth.setting() RETURNS text LANGUAGE sql STABLE
  AS $$ SELECT nullif(pg_catalog.current_setting('myapp.current_org_id', true), '') $$;
CREATE FUNCTION auth.org() RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN auth.setting()::int; END $$;
ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
ALTER TABLE members ENABLE ROW LEVEL SECURITY;
ALTER TABLE invoices ENABLE ROW LEVEL SECURITY;
ALTER TABLE lines ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON organizations USING (id = auth.org());
CREATE POLICY read ON members FOR SELECT USING (org_id = auth.org());
CREATE POLICY add ON members FOR INSERT WITH CHECK (org_id = auth.org());
CREATE POLICY own ON invoices USING (
  org_id = auth.org() AND (current_setting('app.is_admin', true) = 'on' OR deleted_at IS NULL));
CREATE POLICY own ON lines USING (EXISTS (SELECT FROM invoices AS i WHERE i.id = invoice_id AND i.org_id = auth.org()));
"""


def test_other_names_and_helper_functions(database: Database) -> None:
    found = _pasted(_planted(database, HELPER))
    assert found.model == ["rls"]
    assert found.key.columns == ["org_id"]
    assert (found.key.tenants_table, found.key.tenants_pk) == ("public.organizations", "id")
    assert found.context.setting == "myapp.current_org_id"
    assert found.pool_schemas == ["public"]
    assert found.shared.tables == ["public.plans"]


@pytest.mark.parametrize(
    ("sql", "columns", "tenants_table", "pk"),
    [
        (
            "CREATE TABLE tenant (code text PRIMARY KEY); CREATE TABLE a (tenant text NOT NULL, b int);"
            "CREATE TABLE c (tenant text NOT NULL, d int)",
            ["tenant"],
            "public.tenant",
            "code",
        ),
        (
            "CREATE TABLE companies (company_uuid uuid PRIMARY KEY);"
            "CREATE TABLE a (id int, company_id uuid REFERENCES companies, PRIMARY KEY (company_id, id));"
            "CREATE TABLE b (id int, company_id uuid REFERENCES companies);"
            "CREATE TABLE c (id int, company_id uuid REFERENCES companies)",
            ["company_id"],
            "public.companies",
            "company_uuid",
        ),
        ("CREATE TABLE a (tenant_id int); CREATE TABLE b (tenant_id int)", ["tenant_id"], None, "id"),
    ],
)
def test_a_column_without_policies(
    database: Database, sql: str, columns: list[str], tenants_table: str | None, pk: str
) -> None:
    found = _pasted(_planted(database, sql))
    assert found.model == ["column"]
    assert found.key.columns == columns
    assert (found.key.tenants_table, found.key.tenants_pk) == (tenants_table, pk)
    assert found.context.setting is None


def test_both_tables_of_the_pool_and_schemas(schemas: World) -> None:
    schemas.run(
        "CREATE TABLE common.tenants (id int PRIMARY KEY); "
        "CREATE TABLE common.logins (tenant_id int NOT NULL REFERENCES common.tenants);"
        "CREATE TABLE common.bills (tenant_id int NOT NULL REFERENCES common.tenants)"
    )
    found = _pasted(_found(schemas.target))
    assert found.model == ["column", "schema"]
    assert found.pool_schemas == ["common"]
    assert found.shared.tables == []
    assert found.key.tenants_table == "common.tenants"


def test_a_role_that_policies_name_is_the_applications_though_it_bypasses(pool: World) -> None:
    pool.run("ALTER ROLE {app} BYPASSRLS")
    known = _found(pool.target).known
    assert (known.app_roles, known.admin_roles) == ((pool.names["app"],), (pool.names["admin"],))


def test_where_nobody_was_granted_anything_the_owner_is_the_application(database: Database, pool: World) -> None:
    pool.run("REVOKE ALL ON ALL TABLES IN SCHEMA app FROM {app}, {admin}; ALTER ROLE {owner} LOGIN")
    known = _found(pool.target).known
    assert known.app_roles == (pool.names["owner"],)


def test_names_that_need_quotes(database: Database) -> None:
    found = _pasted(
        _planted(
            database,
            'CREATE SCHEMA "My App"; CREATE TABLE "My App"."Tenants" ("ID" int PRIMARY KEY);'
            'CREATE TABLE "My App"."it\'s \\" (tenant_id int REFERENCES "My App"."Tenants");'
            'CREATE TABLE "My App"."b" (tenant_id int REFERENCES "My App"."Tenants", c text);'
            'CREATE TABLE "My App".free (x int)',
        )
    )
    assert (found.key.tenants_table, found.key.tenants_pk) == ("My App.Tenants", "ID")
    assert found.pool_schemas == ["My App"]


def test_what_is_declared_holds_and_the_rest_is_filled(pool: World) -> None:
    known = _known(pool, model="rls", roles={"app": ["{app}"]})
    assert known.models == ("rls",)
    assert known.app_roles == ("{app}",)
    assert known.key_columns == ("tenant_id",)
    assert known.tenants_table == "app.tenants"
    assert known.shared_tables == ()
    assert set(known.detected) == {"key.columns", "key.tenants_table", "context.setting", "roles.admin"}


def test_nothing_is_asked_where_all_is_declared(pool: World) -> None:
    with Session(pool.target, 5.0) as session:
        known = know(session, probe(session), pool.tenancy())
    assert known.detected == ()
    assert known.models == ("rls",)


def test_auto_with_a_declared_pattern(schemas: World) -> None:
    known = _known(schemas, schemas={"pattern": "^t_(?P<tenant>acme|beta)$"})
    assert known.models == ("schema",)
    assert [member.tenant for member in known.tenant_schemas] == ["acme", "beta"]


def _auto(world: World) -> list[Finding]:
    """What all checks say where nothing is declared; but for those of the server's version, which is what it is."""
    with Session(world.target, 5.0) as session:
        server = probe(session)
        known = know(session, server, Tenancy())
        checks = [check for check in chosen_checks(CATALOG, known) if check.name != "server_rls_cve"]
        assert checks
        return [f for run in run_checks(session, server, CATALOG, checks, known) for f in run.findings]


@pytest.mark.parametrize("kind", ["pool", "schemas"])
def test_clean_databases_are_clean_where_nothing_is_declared(make_world: Callable[[str], World], kind: str) -> None:
    assert not _auto(make_world(kind))


@pytest.mark.parametrize(
    ("sql", "check"),
    [
        ("ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY", "rls_disabled"),
        ("ALTER ROLE {app} BYPASSRLS", "rls_app_role_bypass"),
    ],
)
def test_holes_are_found_where_nothing_is_declared(pool: World, sql: str, check: str) -> None:
    pool.run(sql)
    assert {(f.check, f.severity, f.role) for f in _auto(pool)} >= {(check, "P2", pool.names["app"])}
