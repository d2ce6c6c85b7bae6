"""Statements of an application on a real server: what `tenants check` says of those that it has run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sbpgmon.cli.main import cli
from sbpgmon.collect.isolation import Task, look
from sbpgmon.collect.queries import Figures, look_at_statements, read_ground
from sbpgmon.collect.tenancy import know
from sbpgmon.errors import IsolationFailedError
from sbpgmon.findings import CheckRun, Finding, Outcome
from sbpgmon.judge.ground import RoleKind
from sbpgmon.sources.probe import probe
from sbpgmon.sources.session import Session
from tests.isolation.world import ACME, BETA, CATALOG, World

OFF = "ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY"
ON = "ALTER TABLE app.bets ENABLE ROW LEVEL SECURITY"
EXTENSION = (
    "CREATE SCHEMA tools; GRANT USAGE ON SCHEMA tools TO {reader}; CREATE EXTENSION pg_stat_statements SCHEMA tools"
)


@pytest.fixture
def tracked(pool: World) -> World:
    """Shared tables, where statements are recorded."""
    pool.run(EXTENSION)
    return pool


@pytest.fixture
def apart(schemas: World) -> World:
    """A schema for each tenant, where statements are recorded."""
    schemas.run(EXTENSION)
    return schemas


def seen(world: World, changes: dict[str, Any] | None = None, **more: Any) -> tuple[dict[str, CheckRun], Figures]:
    tenancy = world.tenancy(changes)
    with Session(world.target, 5.0) as session:
        server = probe(session)
        known = know(session, server, tenancy)
        ground = read_ground(session, server, CATALOG, known, tenancy, **more)
        runs, figures = look_at_statements(session, server, ground)
    return {run.check: run for run in runs}, figures


def findings(world: World, changes: dict[str, Any] | None = None) -> list[Finding]:
    return [finding for run in seen(world, changes)[0].values() for finding in run.findings]


def said(world: World, changes: dict[str, Any] | None = None) -> list[tuple[str, str, str]]:
    names = {name: role for role, name in world.names.items()}
    return sorted((f.check, f.object, names.get(f.role, f.role)) for f in findings(world, changes))


def run_as(world: World, role: str, sql: str, params: Sequence[Any] = ()) -> None:
    """Through the extended protocol, as drivers do."""
    with world.database.connect(world.names[role]) as connection:
        connection.execute(f"SELECT set_config('app.tenant_id', '{ACME}', false)".encode())
        connection.execute(world.text(sql).encode(), params)


def test_a_clean_application_is_silent(tracked: World) -> None:
    with tracked.database.connect(tracked.names["app"]) as connection, connection.transaction():
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", (ACME,))
        connection.execute("SELECT * FROM app.bets")
        connection.execute("SELECT * FROM app.bets WHERE tenant_id = %s AND id = %s", (ACME, 1))
        connection.execute("SELECT * FROM app.events")
        connection.execute("INSERT INTO app.audit_log (tenant_id, ts, what) VALUES (%s, '2026-07-01', 'x')", (ACME,))
    runs, figures = seen(tracked)
    assert not [finding for run in runs.values() for finding in run.findings]
    assert (figures["cross_tenant_queries"], figures["idor_prone_queries"], figures["statements_unparsed"]) == (0, 0, 0)
    assert (figures["statements_judged"] or 0) > 5


def test_an_unscoped_statement_is_one_only_without_row_level_security(tracked: World) -> None:
    for _ in range(3):
        run_as(tracked, "app", "SELECT count(*) FROM app.bets WHERE stake > %s", (1,))
    assert ("cross_tenant_queries", "app.bets", "app") not in said(tracked)
    tracked.run(OFF)
    runs, figures = seen(tracked)
    [finding] = runs["cross_tenant_queries"].findings
    assert (finding.object, finding.role, finding.severity) == ("app.bets", tracked.names["app"], "P0")
    assert "3 calls since" in finding.detail
    assert "SELECT count(*) FROM app.bets WHERE stake > $1" in finding.detail
    assert finding.key.count(":") == 3
    assert finding.key.rpartition(":")[2].lstrip("-").isdigit()
    assert figures["cross_tenant_queries"] == 3
    # It is the same the next time.
    assert [f.key for f in findings(tracked)] == [f.key for f in findings(tracked)]
    tracked.run(ON)
    assert seen(tracked)[1]["cross_tenant_queries"] == 0


def test_a_row_by_its_key_alone(tracked: World) -> None:
    tracked.run("CREATE TABLE app.notes (id int PRIMARY KEY, tenant_id uuid NOT NULL, what text)")
    tracked.run("GRANT USAGE ON SCHEMA app TO {report}; GRANT SELECT ON app.notes TO {app}, {report}")
    for role in ("app", "report"):
        run_as(tracked, role, "SELECT what FROM app.notes WHERE id = %s", (1,))
        run_as(tracked, role, "SELECT what FROM app.notes WHERE id = %s AND tenant_id = %s", (1, BETA))
    assert ("idor_prone_queries", "app.notes", "app") in said(tracked)
    assert [
        object_ for check, object_, role in said(tracked) if role == "report" and check != "session_level_context"
    ] == []


def test_roles_that_nobody_knows_are_suspected_and_operators_are_not(tracked: World) -> None:
    tracked.run("GRANT USAGE ON SCHEMA app TO {report}; GRANT SELECT ON app.bets TO {report}; " + OFF)
    for role in ("report", "admin", "app"):
        run_as(tracked, role, "SELECT sum(stake) FROM app.bets")
    tracked.run("SELECT * FROM app.bets")
    found = [entry for entry in said(tracked) if entry[0].startswith("cross_tenant")]
    assert found == [
        ("cross_tenant_queries", "app.bets", "app"), ("cross_tenant_queries_suspected", "app.bets", "report"),
    ]  # fmt: skip


def test_who_is_the_application(tracked: World) -> None:
    """Its roles, what they can become, and the logins that are members of them."""
    tracked.run(
        "CREATE ROLE web_{suffix} LOGIN IN ROLE {app}; CREATE ROLE part_{suffix}; GRANT part_{suffix} TO {app}; "
        "CREATE ROLE chief_{suffix} LOGIN IN ROLE {admin}; CREATE ROLE boss_{suffix} LOGIN SUPERUSER; "
        "CREATE ROLE store_{suffix} LOGIN; CREATE SCHEMA monitoring AUTHORIZATION store_{suffix}"
    )
    tenancy = tracked.tenancy()
    with Session(tracked.target, 5.0) as session:
        server = probe(session)
        ground = read_ground(session, server, CATALOG, know(session, server, tenancy), tenancy)
    kinds = {role.name: role.kind for role in ground.roles.values()}
    wanted = {
        "{app}": RoleKind.APP, "web_{suffix}": RoleKind.APP, "part_{suffix}": RoleKind.APP,
        "{admin}": RoleKind.OPERATOR, "chief_{suffix}": RoleKind.OPERATOR, "boss_{suffix}": RoleKind.OPERATOR,
        "{owner}": RoleKind.OPERATOR, "{reader}": RoleKind.OPERATOR, "{report}": RoleKind.OTHER,
        "pg_read_all_data": RoleKind.OPERATOR, "store_{suffix}": RoleKind.OPERATOR,
    }  # fmt: skip
    assert {name: kinds[tracked.text(name)] for name in wanted} == wanted


def test_a_context_that_is_set_for_the_session(tracked: World) -> None:
    with tracked.database.connect(tracked.names["app"]) as connection:
        connection.execute(f"SET app.tenant_id = '{ACME}'".encode())
        connection.execute(f"SET app.tenant_id = '{BETA}'".encode())
    [finding] = findings(tracked)
    assert (finding.check, finding.severity) == ("session_level_context", "P2")
    assert finding.key == f"session_level_context:app.tenant_id:{tracked.names['app']}"
    assert ACME not in finding.detail
    assert findings(tracked, {"context": {"setting": "app.tenant_id", "scope": "session"}}) == []


def test_a_context_that_is_set_for_the_transaction(tracked: World) -> None:
    with tracked.database.connect(tracked.names["app"]) as connection, connection.transaction():
        connection.execute(f"SET LOCAL app.tenant_id = '{ACME}'".encode())
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", (BETA,))
    assert findings(tracked) == []


def test_what_cannot_be_parsed_is_counted(tracked: World) -> None:
    run_as(tracked, "app", "DO $$ BEGIN PERFORM count(*) FROM app.bets; END $$")
    runs, figures = seen(tracked)
    [finding] = runs["unparsed_statements"].findings
    assert finding.outcome is Outcome.UNKNOWN
    assert "1 statement with 1 call since" in finding.detail
    assert figures["statements_unparsed"] == 1


def test_what_the_plan_does_not_confirm_is_suspected(tracked: World) -> None:
    tracked.run(OFF)
    run_as(tracked, "app", "SELECT 4 FROM app.bets")
    asked = []
    answers: list[bool | None] = []

    def confirm(userid: int, text: str) -> bool | None:
        asked.append((userid, text))
        return answers[-1]

    tenancy = tracked.tenancy()
    for answer, wanted in ((True, (1, 0)), (None, (1, 0)), (False, (0, 1))):
        answers.append(answer)
        with Session(tracked.target, 5.0) as session:
            server = probe(session)
            ground = read_ground(session, server, CATALOG, know(session, server, tenancy), tenancy)
            _, figures = look_at_statements(session, server, ground, confirm=confirm)
        assert (figures["cross_tenant_queries"], figures["cross_tenant_queries_suspected"]) == wanted
    assert [text for _, text in asked] == ["SELECT $1 FROM app.bets"] * 3


def test_allowances(tracked: World) -> None:
    tracked.run(OFF)
    run_as(tracked, "app", "SELECT /* nightly-report */ sum(stake) FROM app.bets")
    allow = {"check": "cross_tenant_queries", "reason": "it adds up", "expires": date(2999, 1, 1)}
    for more in ({"tag": "nightly"}, {"role": "{app}"}, {"object": "app.bets"}, {}):
        runs, figures = seen(tracked, {"allow": [allow | more]})
        [finding] = runs["cross_tenant_queries"].findings
        assert finding.allowed == "it adds up (until 2999-01-01)"
        assert figures["cross_tenant_queries"] == 0
    others = (
        {"tag": "daily"},
        {"role": "bob"},
        {"queryid": 1},
        {"expires": date(2020, 1, 1)},
        {"check": "rls_disabled"},
    )
    for other in others:
        runs, figures = seen(tracked, {"allow": [allow | other]})
        assert figures["cross_tenant_queries"] == 1
    queryid = int(runs["cross_tenant_queries"].findings[0].part)
    assert seen(tracked, {"allow": [allow | {"queryid": queryid}]})[1]["cross_tenant_queries"] == 0


def test_a_statement_of_another_database_is_none_of_ours(tracked: World, make_world: Callable[[str], World]) -> None:
    other = make_world("pool")
    other.run(OFF)
    run_as(other, "app", "SELECT 1 FROM app.bets")
    assert findings(tracked) == []


# A schema for each tenant


def test_a_statement_over_two_schemas(apart: World) -> None:
    apart.run(
        "GRANT USAGE ON SCHEMA t_beta TO {t_acme_app}; GRANT SELECT ON ALL TABLES IN SCHEMA t_beta TO {t_acme_app}"
    )
    own = [name for name in apart.names if name.startswith("t_")]
    assert own
    with apart.database.connect(apart.names["t_acme_app"]) as connection:
        [(table,)] = connection.execute("SELECT min(tablename) FROM pg_tables WHERE schemaname = 't_acme'").fetchall()
        connection.execute(f"SELECT count(*) FROM t_acme.{table}".encode())
        assert findings(apart) == []
        connection.execute(f"SELECT count(*) FROM t_acme.{table} AS a, t_beta.{table} AS b".encode())
        # Another text than the one above: to 18 and newer, tables of the same name are one and the same.
        connection.execute(f"SELECT count(*) FROM t_beta.{table} WHERE id > 0".encode())
    found = findings(apart)
    assert [(f.check, f.severity, f.role) for f in found] == [
        ("cross_schema_statements", "P0", apart.names["t_acme_app"])
    ] * 2
    assert seen(apart)[1]["cross_tenant_queries"] == 2


# What cannot be seen


def test_without_the_extension_statements_are_unknown(pool: World) -> None:
    runs, figures = seen(pool)
    [finding] = runs["cross_tenant_queries"].findings
    assert list(runs) == ["cross_tenant_queries"]
    assert not runs["cross_tenant_queries"].is_complete
    assert (finding.outcome, finding.remedy) == (Outcome.UNKNOWN, "CREATE EXTENSION pg_stat_statements")
    assert set(figures.values()) == {None}


def test_without_the_privilege_statements_are_unknown(tracked: World) -> None:
    tracked.run("REVOKE pg_monitor FROM {reader}")
    runs, _ = seen(tracked)
    [finding] = runs["cross_tenant_queries"].findings
    assert finding.outcome is Outcome.UNKNOWN
    assert finding.remedy == f"GRANT pg_read_all_stats TO {tracked.names['reader']}"
    tracked.run("GRANT pg_read_all_stats TO {reader}")
    assert not seen(tracked)[0]["cross_tenant_queries"].findings


def test_without_texts_statements_are_unknown(tracked: World) -> None:
    [finding] = seen(tracked, has_texts=False)[0]["cross_tenant_queries"].findings
    assert "texts" in finding.remedy


def test_without_usage_of_the_extensions_schema_statements_are_unknown(tracked: World) -> None:
    tracked.run("REVOKE USAGE ON SCHEMA tools FROM {reader}")
    [finding] = seen(tracked)[0]["cross_tenant_queries"].findings
    assert finding.outcome is Outcome.UNKNOWN
    assert finding.remedy == f"GRANT USAGE ON SCHEMA tools TO {tracked.names['reader']};"


def test_where_nothing_is_tracked_statements_are_unknown(tracked: World) -> None:
    tracked.run("ALTER ROLE {reader} SET pg_stat_statements.track = 'none'")
    [finding] = seen(tracked)[0]["cross_tenant_queries"].findings
    assert "track" in finding.detail


def test_an_extension_that_goes_in_between_is_unknown(tracked: World) -> None:
    tenancy = tracked.tenancy()
    with Session(tracked.target, 5.0) as session:
        server = probe(session)
        ground = read_ground(session, server, CATALOG, know(session, server, tenancy), tenancy)
        tracked.run("DROP EXTENSION pg_stat_statements")
        [run], _ = look_at_statements(session, server, ground)
    assert run.outcome is Outcome.UNKNOWN


def test_unconfirmed_findings_are_p2_at_most(tracked: World) -> None:
    tracked.run(OFF)
    run_as(tracked, "app", "SELECT 2 FROM app.bets")
    [finding] = seen(tracked, {"confirmed": False})[0]["cross_tenant_queries"].findings
    assert finding.severity == "P2"


# As a whole


def test_a_look_brings_what_the_store_judges_by(tracked: World) -> None:
    tracked.run(OFF)
    run_as(tracked, "app", "SELECT 3 FROM app.bets")
    task = Task(tracked.tenancy(), {}, slots={"x": 1})
    with Session(tracked.target, 5.0) as session:
        server = probe(session)
        reading = look(session, server, CATALOG, task)
        again = look(session, server, CATALOG, task)
        now = look(session, server, CATALOG, replace(task, judges_statements=True))
        tracked.run(ON)
        other = look(session, server, CATALOG, task)
    assert reading.ground is not None
    assert again.ground is not None
    assert other.ground is not None
    assert reading.ground["digest"] == again.ground["digest"] != other.ground["digest"]
    assert reading.ground["structure"] == other.ground["structure"]
    assert not any(run.check.startswith("cross") for run in reading.runs)
    assert now.figures["cross_tenant_queries"] == 1


def test_check_says_it(tracked: World, tmp_path: Path) -> None:
    tracked.run(OFF)
    run_as(tracked, "app", "SELECT stake FROM app.bets")
    path = tmp_path / "sbpgmon.toml"
    app, admin = tracked.names["app"], tracked.names["admin"]
    path.write_text(
        f'[[targets]]\nname = "app"\ndsn = "{tracked.target.dsn}"\n[store]\ndsn = "{tracked.target.dsn}"\n'
        '[tenancy]\nconfirmed = true\nmodel = ["rls"]\npool_schemas = ["app"]\n'
        'key = { columns = ["tenant_id"], tenants_table = "app.tenants" }\n'
        f'roles = {{ app = ["{app}"], admin = ["{admin}"] }}\n'
        'shared = { tables = ["app.events"] }\ncontext = { setting = "app.tenant_id" }\n'
    )
    done = CliRunner().invoke(
        cli, ["--config", str(path), "tenants", "check", "--format", "json", "--check", "cross_tenant_queries"]
    )
    found = json.loads(done.stdout)
    assert isinstance(done.exception, IsolationFailedError), done.output
    assert found["summary"]["cross_tenant_queries"] == 1
    assert "cross_tenant_queries" in {f["check"] for f in found["findings"]}
