"""Bad weather on the store: who may not, what must not, and what was there before us."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from sbpgmon.demo.binaries import wheel_bin_dir
from sbpgmon.demo.server import Cluster
from tests.integration.support import METRICS, OWNER, SNAPSHOTS, TARGET, Site, fresh_database, wait_for

pytestmark = pytest.mark.matrix


def _flat(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stdout + done.stderr).split())


def _refused(site: Site, code: int, *messages: str, commands: tuple[str, ...] = ("init", "collect", "run")) -> None:
    """Each command ends with the code and says why and what to do; the doctor says it too."""
    for command in commands:
        done = site.run(command, check=code)
        for message in messages:
            assert message in done.stderr, command
        assert "→" in done.stderr
    assert messages[0] in _flat(site.run("doctor", check=13))


def test_no_schema_yet(bare: Site) -> None:
    for command in ("collect", "run", "status", "top"):
        done = bare.run(command, check=21)
        assert "The schema monitoring is not in the store." in done.stderr
        assert "run `sbpgmon init`" in done.stderr
    assert bare.value("SELECT to_regnamespace('monitoring')") is None
    assert "Run `sbpgmon init`." in _flat(bare.run("doctor", check=13))


def test_init_is_idempotent(bare: Site) -> None:
    first = bare.run("init")
    assert "created  schema monitoring" in first.stdout
    assert "monitoring is ready" in first.stdout
    second = bare.run("init")
    assert "monitoring is up to date" in second.stdout
    assert "created" not in second.stdout


def test_a_store_that_is_not_there(monitored: Site) -> None:
    monitored.configure(store="host=127.0.0.1 port=1 dbname=x user=y password=hush")
    done = monitored.run("collect", check=20)
    assert "Connection refused" in done.stderr
    assert f"{len(METRICS)} wait in the spool" in done.stderr
    for command in ("init", "status", "top", "rollback"):
        done = monitored.run(command, check=20)
        assert "→ Check that the server runs and that host and port are right." in done.stderr
        assert "hush" not in done.stderr


def test_a_database_that_is_read_only(monitored: Site) -> None:
    with monitored.database.connect() as connection:
        connection.execute(f"ALTER DATABASE {monitored.database.name} SET default_transaction_read_only = on".encode())
    _refused(monitored, 23, "read-only")


def test_a_role_that_may_not_create_a_schema(bare: Site) -> None:
    with bare.database.connect() as connection:
        connection.execute(f"REVOKE CREATE ON DATABASE {bare.database.name} FROM {OWNER}".encode())
    message = f"The role {OWNER} may not create a schema in database {bare.database.name}."
    _refused(bare, 23, message, "GRANT CREATE ON DATABASE", commands=("init",))
    assert bare.value("SELECT to_regnamespace('monitoring')") is None


def test_a_schema_that_belongs_to_another_role(monitored: Site, make_role: Callable[..., str]) -> None:
    role = make_role("stranger")
    with monitored.database.connect() as connection:
        connection.execute(f"GRANT CREATE ON DATABASE {monitored.database.name} TO {role}".encode())
    monitored.configure(store=monitored.database.dsn(role))
    done = monitored.run("init", check=23)
    assert f"belongs to {OWNER}, and {role} is not a member" in done.stderr
    done = monitored.run("collect", check=23)
    assert "permission denied" in done.stderr
    assert monitored.ask("SELECT FROM monitoring.snapshot") == []


def test_a_superuser_owns_no_schema_unless_told(bare: Site) -> None:
    bare.configure(store=bare.database.dsn())
    done = bare.run("init", check=23)
    assert "superuser" in done.stderr
    assert "--allow-superuser" in done.stderr
    assert bare.value("SELECT to_regnamespace('monitoring')") is None
    bare.run("--allow-superuser", "init")


def _dump(site: Site, dump: Path, *options: str) -> str:
    done = subprocess.run(
        [str(dump), *options, "-d", site.database.dsn()], capture_output=True, text=True, check=True, cwd="/"
    )
    # From 18 on (and in the last minor releases) a key stands in it that is new each time.
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def test_a_schema_that_somebody_else_made_is_never_touched(bare: Site) -> None:
    with bare.database.connect() as connection:
        connection.execute(
            f"CREATE SCHEMA monitoring AUTHORIZATION {OWNER}; CREATE TABLE monitoring.target (name text);"
            "CREATE TABLE monitoring.control (\"only\" boolean); INSERT INTO monitoring.target VALUES ('theirs');"
            f"ALTER TABLE monitoring.target OWNER TO {OWNER}; ALTER TABLE monitoring.control OWNER TO {OWNER};"
            "COMMENT ON SCHEMA monitoring IS 'the team''s own'".encode()
        )
    dump = wheel_bin_dir() / "pg_dump"  # dumps older servers as well, and some installations have none
    before = _dump(bare, dump)
    assert "theirs" in before
    message = f"The schema monitoring in database {bare.database.name} (owner: {OWNER}) was not made by sbpgmon."
    _refused(bare, 22, message, "It was not touched.", commands=("init", "collect", "run", "status", "top"))
    done = bare.run("rollback", "--yes", "--cascade-outside", check=22)
    assert "was not made by sbpgmon" in done.stderr
    assert _dump(bare, dump) == before


def test_a_publication_that_would_carry_us_away(bare: Site, monitored: Site) -> None:
    for site in (bare, monitored):
        with site.database.connect() as connection:
            connection.execute("CREATE PUBLICATION sales FOR ALL TABLES")
    _refused(bare, 23, "sales (FOR ALL TABLES)", "separate store", commands=("init",))
    assert bare.value("SELECT to_regnamespace('monitoring')") is None
    # And when it comes later, the agent stops before its first row.
    _refused(monitored, 23, "sales (FOR ALL TABLES)", "separate store", commands=("collect", "run"))
    assert monitored.ask("SELECT FROM monitoring.snapshot") == []
    with monitored.database.connect() as connection:
        connection.execute("DROP PUBLICATION sales")
    monitored.polled()


def test_a_schema_newer_than_the_program(monitored: Site) -> None:
    with monitored.database.connect() as connection:
        connection.execute("UPDATE monitoring.alembic_version SET version_num = '9999'")
    _refused(monitored, 22, "has revision 9999", "Upgrade sbpgmon here", commands=("init", "collect", "run", "status"))
    assert monitored.value("SELECT version_num FROM monitoring.alembic_version") == "9999"
    # The way out at 3 a.m. is open all the same.
    assert "monitoring is gone." in monitored.run("rollback", "--yes").stdout


def test_a_schema_older_than_the_program(monitored: Site) -> None:
    with monitored.database.connect() as connection:
        connection.execute("UPDATE monitoring.alembic_version SET version_num = '0000'")
    done = monitored.run("collect", check=22)
    assert "Run `sbpgmon init`, which upgrades it." in done.stderr


def test_privileges_that_were_taken_away(monitored: Site) -> None:
    monitored.polled()
    with monitored.database.connect() as connection:
        connection.execute(f"REVOKE INSERT ON monitoring.snapshot_log FROM {OWNER}".encode())
    done = monitored.run("collect", check=23)
    assert "permission denied for table snapshot_log" in done.stderr
    assert monitored.is_consistent()


def test_the_store_goes_away_during_a_write(monitored: Site) -> None:
    monitored.polled()
    waiting = (
        f"SELECT pid FROM pg_stat_activity WHERE usename = '{OWNER}' AND wait_event_type = 'Lock' "
        "AND datname = current_database()"
    )
    with psycopg.connect(monitored.database.dsn()) as connection:
        # In the middle of the transaction: some metrics are written, the log is not.
        connection.execute("LOCK TABLE monitoring.roles_attributes IN ACCESS EXCLUSIVE MODE")
        with monitored.start("collect") as process:
            wait_for(lambda: monitored.ask(waiting))
            monitored.ask("SELECT pg_terminate_backend(%s)", monitored.value(waiting))
            assert process.wait(30) == 20
    assert "Traceback" not in monitored.log
    assert "terminating connection due to administrator command" in monitored.log
    assert monitored.value("SELECT count(*) FROM monitoring.snapshot") == len(SNAPSHOTS)
    assert monitored.is_consistent()
    assert len(monitored.spooled) == 1
    monitored.polled()
    assert monitored.spooled == []
    assert monitored.value("SELECT count(*) FROM monitoring.snapshot") == 3 * len(SNAPSHOTS)
    assert monitored.is_consistent()


def test_a_store_without_a_free_slot(own_cluster: Cluster, outage: Site) -> None:
    outage.polled()
    with outage.database.connect() as connection:
        connection.execute(f"ALTER ROLE {OWNER} CONNECTION LIMIT 0".encode())
    try:
        done = outage.run("collect", check=20)
    finally:
        with outage.database.connect() as connection:
            connection.execute(f"ALTER ROLE {OWNER} CONNECTION LIMIT -1".encode())
    assert "too many connections for role" in done.stderr
    outage.polled()
    assert outage.spooled == []
    assert outage.value("SELECT count(*) FROM monitoring.snapshot WHERE metric = 'server'") == 3


def test_a_store_apart_from_its_target(monitored: Site, own_cluster: Cluster, tmp_path: Path) -> None:
    with fresh_database(own_cluster) as store:
        site = Site(store, tmp_path / "apart", dict(monitored.targets))
        site.run("init")
        site.polled()
        assert site.value("SELECT database FROM monitoring.target WHERE name = %s", TARGET) == monitored.database.name
