"""`tenants detect` and `tenants judge`, and `tenants check` where no tenancy is known, as people and pipes run them."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sbpgmon.errors import ConfigError
from sbpgmon.present.judge import parse_lines
from sbpgmon.tenancy import Tenancy
from tests.conftest import Database
from tests.isolation.world import World

SCOPED = "SELECT * FROM app.bets WHERE tenant_id = $1"
OPEN = "SELECT * FROM app.bets"


def _run(dsn: str, *args: str, stdin: str | bytes = b"") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sbpgmon", "--dsn", dsn, "tenants", *args]
    given = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=120)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def _judge(world: World, *args: str, stdin: str | bytes = b"") -> subprocess.CompletedProcess[str]:
    return _run(world.target.dsn, "judge", *args, stdin=stdin)


def _lines(*statements: object) -> str:
    return "".join(json.dumps(statement) + "\n" for statement in statements)


def test_what_is_detected_can_be_pasted(pool: World, tmp_path: Path) -> None:
    done = _run(pool.target.dsn, "detect")
    assert (done.returncode, done.stderr) == (0, "")
    tenancy = tomllib.loads(done.stdout)["tenancy"]
    assert Tenancy.model_validate(tenancy) == pool.tenancy({"confirmed": False})
    config = tmp_path / "sbpgmon.toml"
    config.write_text(f'[[targets]]\nname = "app"\ndsn = "{pool.target.dsn}"\n\n{done.stdout}')
    command = [sys.executable, "-m", "sbpgmon", "--config", str(config), "tenants", "judge", "--format", "json", SCOPED]
    judged = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert judged.returncode == 0, judged.stderr
    assert [row["verdict"] for row in json.loads(judged.stdout)] == ["scoped"]


def test_where_nothing_is_detected(database: Database) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sbpgmon", "--allow-superuser", "--dsn", database.dsn(), "tenants", "detect"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert "no tenancy was found" in done.stderr


def test_a_check_of_what_has_no_tenants_is_unknown(pool: World) -> None:
    pool.run("DROP SCHEMA app CASCADE; DROP SCHEMA ref CASCADE")
    done = _run(pool.target.dsn, "check", "--format", "json")
    assert done.returncode == 4
    found = json.loads(done.stdout)
    assert (found["summary"]["pass"], found["summary"]["fail"], found["summary"]["unknown"]) == (0, 0, 1)
    [finding] = found["findings"]
    assert (finding["check"], finding["status"]) == ("tenancy_declaration", "unknown")
    assert "tenants detect" in finding["remedy"]
    judged = _judge(pool, OPEN)
    assert (judged.returncode, judged.stdout) == (4, "")
    assert "no tenancy is declared" in judged.stderr


def test_statements_as_arguments(pool: World) -> None:
    done = _judge(pool, "--format", "json", SCOPED, OPEN, "SELECT 1")
    assert done.returncode == 3
    rows = json.loads(done.stdout)
    assert [set(row) for row in rows] == [{"sql", "verdict", "table", "reason"}] * 3
    assert [(row["sql"], row["verdict"], row["table"]) for row in rows] == [
        (SCOPED, "scoped", "app.bets"),
        (OPEN, "unscoped", "app.bets"),
        ("SELECT 1", "not_applicable", ""),
    ]
    assert all(row["reason"] for row in rows)
    assert "1 of 3 statements" in done.stderr


def test_statements_a_line_each(pool: World) -> None:
    app, admin = pool.names["app"], pool.names["admin"]
    stdin = "\ufeff" + _lines({"sql": OPEN, "user": app}, {"sql": OPEN, "user": admin}, {"sql": OPEN}) + "\n"
    done = _judge(pool, "--format", "json", stdin=stdin)
    assert [row["verdict"] for row in json.loads(done.stdout)] == ["rls_covered", "unscoped", "unscoped"]
    assert done.returncode == 3
    done = _judge(pool, "--format", "json", "--user", app, stdin=_lines({"sql": OPEN}, {"sql": OPEN, "user": None}))
    assert [row["verdict"] for row in json.loads(done.stdout)] == ["rls_covered"] * 2
    assert done.returncode == 0
    done = _judge(pool, "--format", "json", "--user", app, "--ignore-rls", OPEN)
    assert [row["verdict"] for row in json.loads(done.stdout)] == ["unscoped"]


def test_what_is_not_understood_is_unknown(pool: World) -> None:
    done = _judge(pool, "--format", "json", "SELEC * FROM app.bets", SCOPED)
    assert [row["verdict"] for row in json.loads(done.stdout)] == ["unparsed", "scoped"]
    assert done.returncode == 4


def test_a_table_for_people(pool: World) -> None:
    long = OPEN + " WHERE stake > 1 AND [odd] " + "AND account_id = 1 " * 40
    done = _judge(pool, "--user", pool.names["app"], OPEN, long)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "rls_covered    app.bets" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("2 statements: ")
    assert "[odd]" in done.stdout


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"sql": "SELECT 1"', "no JSON"),
        (b'"SELECT 1"', 'no object with a text "sql"'),
        (b'{"query": "SELECT 1"}', 'no object with a text "sql"'),
        (b'{"sql": "SELECT 1", "user": 7}', '"user" is no text'),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_lines_that_are_wrong(line: bytes, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"^Line 2: {problem}"):
        parse_lines([_lines({"sql": SCOPED}).encode(), line, b"{"])


def test_a_wrong_line_is_told_before_anything_is_judged(pool: World) -> None:
    done = _judge(pool, "--format", "json", stdin=_lines({"sql": SCOPED}, {"sql": None}))
    assert (done.returncode, done.stdout) == (2, "")
    assert "Line 2: no object" in done.stderr


def test_no_statement(pool: World) -> None:
    for stdin in ("", "\n \n"):
        done = _judge(pool, stdin=stdin)
        assert (done.returncode, done.stdout) == (2, "")
        assert "There is no statement" in done.stderr


def test_thousands_through_a_pipe(pool: World) -> None:
    lines = _lines(*({"sql": f"{SCOPED} AND id = {number}"} for number in range(2000)))
    done = _judge(pool, "--format", "json", stdin=lines)
    assert done.returncode == 0
    rows = json.loads(done.stdout)
    assert len(rows) == 2000
    assert rows[1999]["sql"].endswith("id = 1999")
    assert done.stderr == ""


def test_several_targets_want_a_name(pool: World, schemas: World, tmp_path: Path) -> None:
    config = tmp_path / "sbpgmon.toml"
    config.write_text(
        "".join(f'[[targets]]\nname = "{world.kind}"\ndsn = "{world.target.dsn}"\n' for world in (pool, schemas))
    )

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sbpgmon", "--config", str(config), "tenants", *args]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    done = run("detect")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--target: pool, schemas" in done.stderr
    assert run("detect", "--target", "nobody").returncode == 2
    assert 'model = ["schema"]' in run("detect", "--target", "schemas").stdout
    done = run(
        "judge", "--target", "schemas", "SELECT * FROM t_acme.payslips", "SELECT * FROM t_acme.totals, t_beta.totals"
    )
    assert done.returncode == 3
    assert "scoped" in done.stdout


def test_a_target_that_is_down_hides_nothing_of_the_others(pool: World, tmp_path: Path) -> None:
    config = tmp_path / "sbpgmon.toml"
    config.write_text(
        f'[[targets]]\nname = "down"\ndsn = "host={tmp_path} dbname=nobody"\n'
        f'[[targets]]\nname = "up"\ndsn = "{pool.target.dsn}"\n'
    )
    pool.run("ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY")

    def check(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sbpgmon", "--config", str(config), "tenants", "check", *args]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    done = check("--format", "json", "--check", "rls_disabled")
    found = {(row["target"], row["check"], row["status"]) for row in json.loads(done.stdout)["findings"]}
    assert found == {("up", "rls_disabled", "fail"), ("down", "tenancy_declaration", "unknown")}
    assert done.returncode == 3
    pool.run("ALTER TABLE app.bets ENABLE ROW LEVEL SECURITY")
    assert check("--check", "rls_disabled").returncode == 4
    alone = check("--target", "down")
    assert (alone.returncode, alone.stdout) == (10, "")
