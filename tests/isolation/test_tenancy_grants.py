"""`sbpgmon grants --tenancy`: through psql twice, what the roles can do then, and their removal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from sbpgmon.demo.binaries import wheel_bin_dir
from sbpgmon.findings import Outcome
from sbpgmon.sources.probe import probe, refuse_unsafe
from sbpgmon.sources.session import Session
from sbpgmon.store.removal import drop_roles
from tests.isolation.test_data_rows import CHECKS, COLUMN, DATA, PLAIN, grants
from tests.isolation.world import World

SECURE = (
    PLAIN
    + """
ALTER TABLE app.legs OWNER TO {owner};
ALTER TABLE app.legs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON app.legs USING (tenant_id = current_setting('app.tenant_id')::uuid);
UPDATE app.legs SET slip_id = 2 WHERE id = 1;
"""
)


def _psql(dsn: str, script: str) -> subprocess.CompletedProcess[str]:
    command = [str(wheel_bin_dir() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", "-d", dsn]
    environment = {**os.environ, "PGOPTIONS": "-c client_min_messages=warning"}
    return subprocess.run(command, input=script, capture_output=True, text=True, env=environment, check=False)


def _config(world: World, folder: Path, *, is_enabled: bool = True) -> Path:
    path = folder / "sbpgmon.toml"
    path.write_text(
        f"""
[[targets]]
name = "app"
dsn = "{world.target.dsn}"
[tenancy]
confirmed = true
model = ["rls"]
key = {{ columns = ["tenant_id"], tenants_table = "app.tenants", tenants_pk = "id" }}
pool_schemas = ["app"]
shared = {{ schemas = ["ref"], tables = ["app.events"] }}
roles = {{ app = ["{world.names["app"]}"], admin = ["{world.names["admin"]}"] }}
data = {{ enabled = {"true" if is_enabled else "false"} }}
""",
        encoding="utf-8",
    )
    return path


def _sbpgmon(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sbpgmon", "--config", str(config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_is_printed_runs_twice_in_psql_and_shows_what_was_hidden(pool: World, tmp_path: Path) -> None:
    pool.run(SECURE)
    # Switched on afterwards: the grants come first.
    config = _config(pool, tmp_path, is_enabled=False)
    done = _sbpgmon(config, "grants", "--tenancy", "--probe", f"probe_{pool.suffix}")
    assert done.returncode == 0, done.stderr
    for _ in range(2):
        ran = _psql(pool.database.dsn(), done.stdout)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    names = [part for check in CHECKS for part in ("--check", check)]
    checked = _sbpgmon(_config(pool, tmp_path), "tenants", "check", *names)
    assert checked.returncode == 3, checked.stderr
    assert "fk_tenant_mismatch" in checked.stdout
    assert "unknown 0" in " ".join(checked.stdout.split()).replace("│ ", "")


def test_the_reader_reads_keys_and_nothing_else_and_is_let_through(pool: World) -> None:
    pool.run(SECURE)
    pool.run(grants(pool, DATA))
    with pool.database.connect(pool.names["reader"]) as reader:
        assert reader.execute("SELECT count(*) FROM app.legs WHERE ctid >= '(0,0)' AND slip_id = 2").fetchone() == (2,)
        for statement in ("SELECT note FROM app.slips", "SELECT email FROM app.users", "DELETE FROM app.legs"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(statement.encode())
    with Session(pool.target, 5.0) as session:
        refuse_unsafe("app", probe(session), allow_superuser=False)


def test_nobody_gets_bypassrls_where_no_table_needs_it(pool: World) -> None:
    pool.run(PLAIN)
    assert "BYPASSRLS" not in grants(pool, COLUMN)
    pool.run(SECURE.replace(PLAIN, ""))
    assert "BYPASSRLS" in grants(pool, COLUMN)


def test_the_probe_becomes_the_application_and_has_nothing_of_its_own(pool: World) -> None:
    pool.run(grants(pool, DATA))
    name = f"probe_{pool.suffix}"
    with pool.database.connect(name) as login:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.execute("SELECT FROM app.bets")
        login.execute(pool.text("SET ROLE {app}").encode())
        login.execute("SELECT FROM app.tenants")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.execute(pool.text("SET ROLE {admin}").encode())


def test_every_tenants_role_where_each_has_one(schemas: World) -> None:
    text = grants(schemas, {})
    schemas.run(text)
    with schemas.database.connect(f"probe_{schemas.suffix}") as login:
        for tenant in ("acme", "beta", "gamma"):
            login.execute(schemas.text(f"SET ROLE {{t_{tenant}_app}}").encode())
            login.execute(f"SELECT FROM t_{tenant}.employees".encode())
    assert "-- Nothing: no table is to be read." in text


def test_roles_that_cannot_be_tried_are_told(pool: World) -> None:
    pool.run("ALTER ROLE {app} SUPERUSER")
    text = grants(pool, {**DATA, "roles": {"app": ["{app}", "nobody_{suffix}"], "admin": []}})
    assert f'-- There is no role "nobody_{pool.suffix}".' in text
    assert f'-- "{pool.names["app"]}" is a superuser' in text
    pool.run(text)
    pool.run("ALTER ROLE {app} NOSUPERUSER")
    # What is only guessed is for people to read.
    guessed = grants(pool, {**DATA, "roles": {}}).splitlines()
    assert any(line.startswith("-- Found") and pool.names["app"] in line for line in guessed)
    assert not [line for line in guessed if line.startswith("GRANT") and pool.names["app"] in line]


def test_the_rollback_takes_the_roles_with_all_that_was_granted(pool: World) -> None:
    pool.run(SECURE)
    reader, login = pool.names["reader"], f"probe_{pool.suffix}"
    pool.run(f"COMMENT ON ROLE {reader} IS 'sbpgmon: reads statistics'; " + grants(pool, DATA))
    assert [f.outcome for f in pool.findings("fk_tenant_mismatch", DATA)] == [Outcome.FAIL]
    with pool.database.connect() as admin:
        happened = dict(drop_roles(admin, lambda _: None))
    assert (happened[reader], happened[login]) == ("dropped", "dropped")


def test_a_target_that_is_not_there_is_named(pool: World, tmp_path: Path) -> None:
    done = _sbpgmon(_config(pool, tmp_path), "grants", "--tenancy", "--target", "other")
    assert done.returncode == 2
    assert "There is no target other." in done.stderr


@pytest.mark.parametrize("key", [{"tenants_pk": "id"}, {"tenants_pk": "slug"}])
def test_schemas_that_are_left_over_are_told_by_the_list_of_the_tenants(schemas: World, key: dict[str, str]) -> None:
    schemas.run(
        "CREATE TABLE common.tenants (id int PRIMARY KEY, slug text UNIQUE, note text); "
        "INSERT INTO common.tenants VALUES (1, 'acme', 'x'), (2, 'beta', 'y')"
    )
    changes = {"key": {"tenants_table": "common.tenants", **key}}
    (hidden,) = schemas.findings("orphan_tenant_schema", changes)
    schemas.run(grants(schemas, changes))
    found = [(f.object, f.outcome) for f in schemas.findings("orphan_tenant_schema", changes)]
    assert found == [("t_gamma", Outcome.FAIL)]
    with schemas.database.connect(schemas.names["reader"]) as reader, pytest.raises(psycopg.Error):
        reader.execute("SELECT note FROM common.tenants")
    schemas.run("REVOKE ALL ON common.tenants FROM {reader}")
    schemas.run(hidden.remedy)
    assert [f.object for f in schemas.findings("orphan_tenant_schema", changes)] == ["t_gamma"]
