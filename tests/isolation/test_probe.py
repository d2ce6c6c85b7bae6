"""The probe: what a tenant sees, tried as the application's role."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sbpgmon.collect.impersonation import CONTEXT, KEY, ROWS, SCHEMA, try_tenants
from sbpgmon.collect.tenancy import know
from sbpgmon.findings import CheckRun, Outcome
from sbpgmon.sources.probe import probe
from sbpgmon.sources.session import Session
from tests.isolation.world import World


def _login(world: World, *roles: str) -> str:
    """A login that may become these roles and has none of their privileges itself."""
    name = f"probe_{world.suffix}"
    world.run(f"CREATE ROLE {name} LOGIN NOINHERIT; GRANT {', '.join(roles)} TO {name}")
    return name


def _try(world: World, login: str, turn: int = 0, **changes: Any) -> tuple[dict[str, CheckRun], dict[str, Any]]:
    tenancy = world.tenancy({"probe": {"dsn": world.database.dsn(login)}, **changes})
    with Session(world.target, 5.0) as session:
        known = know(session, probe(session), tenancy)
        runs, figures = try_tenants(session, known, tenancy.probe, 5.0, turn=turn)
    return {run.check: run for run in runs}, figures


def _objects(run: CheckRun) -> set[str]:
    assert all(finding.outcome is Outcome.FAIL for finding in run.findings), run
    return {finding.object for finding in run.findings}


def test_a_clean_database_passes(pool: World) -> None:
    login = _login(pool, "{app}")
    runs, figures = _try(pool, login)
    assert {check: run.findings for check, run in runs.items()} == {CONTEXT: (), KEY: (), ROWS: ()}
    assert all(run.is_complete for run in runs.values())
    assert 0 <= figures["switch_warm_seconds"] <= figures["switch_cold_seconds"]


@pytest.mark.parametrize(
    ("hole", "checks"),
    [
        ("ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY", {CONTEXT, KEY, ROWS}),
        ("CREATE POLICY open ON app.bets FOR SELECT TO {app} USING (true)", {CONTEXT, KEY, ROWS}),
        (
            "ALTER POLICY tenant_isolation ON app.bets USING ("
            "coalesce(current_setting('app.tenant_id', true), '') = '' "
            "OR tenant_id = current_setting('app.tenant_id', true)::uuid)",
            {CONTEXT},
        ),
        ("CREATE POLICY beta ON app.bets FOR SELECT TO {app} USING (tenant_id = '{beta}')", {KEY, ROWS}),
    ],
)
def test_a_hole_is_seen(pool: World, hole: str, checks: set[str]) -> None:
    login = _login(pool, "{app}")
    pool.run(hole)
    runs, _ = _try(pool, login)
    assert {check for check, run in runs.items() if run.findings} == checks
    for check in checks:
        assert _objects(runs[check]) == {"app.bets"}


def test_a_tenant_that_sees_nothing_proves_nothing(pool: World) -> None:
    login = _login(pool, "{app}")
    pool.run("ALTER POLICY tenant_isolation ON app.bets USING (false); ANALYZE app.bets")
    runs, _ = _try(pool, login)
    (finding,) = runs[KEY].findings
    assert (finding.outcome, finding.object) == (Outcome.UNKNOWN, "app.bets")
    assert not runs[KEY].is_complete


def test_a_login_that_may_not_become_the_role(pool: World) -> None:
    pool.run("CREATE ROLE probe_{suffix} LOGIN")
    runs, _ = _try(pool, f"probe_{pool.suffix}")
    for run in runs.values():
        (finding,) = run.findings
        assert finding.outcome is Outcome.UNKNOWN
        assert pool.names["app"] in finding.remedy
        assert "GRANT" in finding.remedy


def test_a_login_that_is_not_there(pool: World) -> None:
    runs, _ = _try(pool, f"nobody_{pool.suffix}")
    assert {finding.outcome for run in runs.values() for finding in run.findings} == {Outcome.UNKNOWN}


def test_tenants_that_cannot_be_listed(pool: World) -> None:
    login = _login(pool, "{app}")
    pool.run("REVOKE SELECT ON app.tenants FROM {app}")
    runs, _ = _try(pool, login)
    assert not runs[CONTEXT].findings
    for check in (KEY, ROWS):
        (finding,) = runs[check].findings
        assert (finding.outcome, finding.object) == (Outcome.UNKNOWN, "app.tenants")
        assert "grant" in finding.remedy


def test_the_newest_the_smallest_and_the_largest_are_always_tried(pool: World) -> None:
    login = _login(pool, "{app}")
    # Tenant 5 is the largest, tenant 9 the newest, tenant 7 has no bet.
    pool.run(
        """
        INSERT INTO app.tenants SELECT format('%s0000000-0000-0000-0000-000000000000', n)::uuid, 'n' || n
        FROM generate_series(3, 9) AS n;
        INSERT INTO app.users (tenant_id, email)
        SELECT t.id, 'u' || n || '@' || t.name FROM app.tenants AS t, generate_series(1, 50) AS n
        WHERE t.name <> 'n7' AND (n < 5 OR t.name = 'n5');
        ANALYZE app.users;
        GRANT USAGE ON SCHEMA app TO {reader}; GRANT SELECT (tenant_id) ON app.users TO {reader};
        ALTER ROLE {reader} BYPASSRLS
        """
    )
    pool.run("CREATE POLICY leak ON app.users FOR SELECT TO {app} USING (current_setting('app.tenant_id') LIKE '9%')")
    for turn in range(3):
        runs, _ = _try(pool, login, turn)
        assert _objects(runs[ROWS]) == {"app.users"}
    pool.run("DROP POLICY leak ON app.users")
    pool.run("CREATE POLICY leak ON app.users FOR SELECT TO {app} USING (current_setting('app.tenant_id') LIKE '5%')")
    for turn in range(3):
        runs, _ = _try(pool, login, turn)
        assert _objects(runs[ROWS]) == {"app.users"}


def test_the_cost_is_bounded(pool: World) -> None:
    login = _login(pool, "{app}")
    runs, _ = _try(pool, login, probe={"dsn": pool.database.dsn(login), "max_cost": 0.001})
    assert {finding.outcome for run in runs.values() for finding in run.findings} == {Outcome.UNKNOWN}


def test_a_schema_for_each_tenant(schemas: World) -> None:
    login = _login(schemas, "{t_acme_app}", "{t_beta_app}", "{t_gamma_app}")
    runs, figures = _try(schemas, login)
    assert {check: run.findings for check, run in runs.items()} == {SCHEMA: ()}
    assert figures["switch_cold_seconds"] is not None
    schemas.run("GRANT USAGE ON SCHEMA t_beta TO {t_acme_app}; GRANT SELECT ON t_beta.payslips TO {t_acme_app}")
    runs, _ = _try(schemas, login)
    (finding,) = runs[SCHEMA].findings
    assert (finding.object, finding.role) == ("t_beta.payslips", schemas.names["t_acme_app"])
    schemas.run("REVOKE {t_gamma_app} FROM probe_{suffix}")
    runs, _ = _try(schemas, login)
    unknown = [finding for finding in runs[SCHEMA].findings if finding.outcome is Outcome.UNKNOWN]
    assert unknown
    assert schemas.names["t_gamma_app"] in unknown[0].remedy


def test_a_connection_that_is_not_fresh(pool: World) -> None:
    """As behind a pooler: once it was set, an unset setting reads '' and hides a policy that fails open."""
    login = _login(pool, "{app}")
    pool.run(
        "ALTER POLICY tenant_isolation ON app.bets USING (current_setting('app.tenant_id', true) IS NULL "
        "OR tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)"
    )
    assert _objects(_try(pool, login)[0][CONTEXT]) == {"app.bets"}
    used = pool.database.dsn(login) + " options='-c app.tenant_id='"
    run = _try(pool, login, probe={"dsn": used})[0][CONTEXT]
    assert {finding.outcome for finding in run.findings} == {Outcome.UNKNOWN}
    assert "not to a pooler" in run.findings[0].remedy
    assert not run.is_complete
    # Where the database itself has it empty, that is what every connection of the application begins with.
    pool.run("ALTER DATABASE {database} SET app.tenant_id = ''")
    assert not _try(pool, login)[0][CONTEXT].findings


def test_an_unknown_does_not_hide_a_fail(pool: World) -> None:
    """One tenant sees others' rows; for the next one the policy takes too long."""
    login = _login(pool, "{app}")
    pool.run(
        "CREATE FUNCTION app.slow() RETURNS boolean LANGUAGE sql AS 'SELECT pg_sleep(10) IS NULL';"
        "GRANT EXECUTE ON FUNCTION app.slow() TO {app};"
        "CREATE POLICY leak ON app.bets FOR SELECT TO {app} USING (CASE current_setting('app.tenant_id', true) "
        "WHEN '{acme}' THEN true WHEN '{beta}' THEN tenant_id <> '{beta}' AND app.slow() ELSE false END)"
    )
    runs, _ = _try(pool, login)
    findings = [finding for finding in runs[ROWS].findings if finding.object == "app.bets"]
    assert [finding.outcome for finding in findings] == [Outcome.FAIL]


def test_names_that_only_quotes_carry(pool: World) -> None:
    login = _login(pool, "{app}")
    pool.run(
        """
        CREATE TABLE app."50% O'ff.%s" ("%id" int PRIMARY KEY, tenant_id uuid NOT NULL);
        INSERT INTO app."50% O'ff.%s" VALUES (1, '{acme}'), (2, '{beta}');
        GRANT SELECT ON app."50% O'ff.%s" TO {app}
        """
    )
    runs, _ = _try(pool, login)
    for check in (CONTEXT, KEY, ROWS):
        assert _objects(runs[check]) == {'app."50% O\'ff.%s"'}


def test_a_table_of_the_tenants_without_its_schema(pool: World) -> None:
    login = _login(pool, "{app}")
    runs, _ = _try(pool, login, key={"columns": ["tenant_id"], "tenants_table": "tenants", "tenants_pk": "id"})
    assert {check: run.findings for check, run in runs.items()} == {CONTEXT: (), KEY: (), ROWS: ()}


def test_a_server_that_hangs(pool: World) -> None:
    """A backend that is stopped answers neither a cancel nor a timeout of its own: the round ends all the same."""
    login = _login(pool, "{app}")
    pool.run(
        "CREATE FUNCTION app.slow() RETURNS boolean LANGUAGE sql AS 'SELECT pg_sleep(1) IS NULL';"
        "ALTER POLICY tenant_isolation ON app.bets USING (app.slow())"
    )
    stopped: list[int] = []

    def stop() -> None:
        with pool.database.connect() as admin:
            query = "SELECT pid FROM pg_stat_activity WHERE usename = %s AND query LIKE '%%EXISTS%%'"
            while not stopped:
                stopped.extend(pid for (pid,) in admin.execute(query, (login,)))
        os.kill(stopped[0], signal.SIGSTOP)

    tenancy = pool.tenancy({"probe": {"dsn": pool.database.dsn(login)}})
    try:
        with Session(pool.target, 5.0) as session, ThreadPoolExecutor() as threads:
            known = know(session, probe(session), tenancy)
            done = threads.submit(stop)
            runs, _ = try_tenants(session, known, tenancy.probe, 5.0, budget_seconds=0.5)
            done.result()
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert {finding.outcome for run in runs for finding in run.findings} == {Outcome.UNKNOWN}
