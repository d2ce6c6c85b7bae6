"""PgBouncer in transaction mode in between: our polls leave nothing on the server connections that others get."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from sbpgmon.demo.binaries import server_account
from sbpgmon.demo.server import Cluster
from tests.conftest import GivenServer, Server
from tests.integration.support import OWNER, READER, SNAPSHOTS, TARGET, Site, wait_for

pytestmark = pytest.mark.matrix

PORT = 6543
CONFIG = """
[databases]
* = host={folder} port={port}
[pgbouncer]
listen_addr =
unix_socket_dir = {folder}
listen_port = {own}
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = 1
pidfile = {folder}/pgbouncer.pid
logfile = {folder}/pgbouncer.log
ignore_startup_parameters = extra_float_digits
"""


def _program() -> str:
    """PgBouncer; from the distribution where it is not there and can be had."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    if shutil.which("pgbouncer", path=path) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "--yes", "--no-install-recommends", "pgbouncer"]):
            subprocess.run(["apt-get", "--quiet", *command], env=environment, capture_output=True, check=False)
    program = shutil.which("pgbouncer", path=path)
    if program is None:
        pytest.skip("PgBouncer is not installed, and could not be")
    return program


@pytest.fixture
def pooler(own_cluster: Cluster) -> Iterator[Server]:
    """PgBouncer before `own_cluster`, with one server connection for each database and role."""
    program, account = _program(), server_account()
    assert own_cluster.socket_dir is not None
    folder = own_cluster.socket_dir
    files = {
        "pgbouncer.ini": CONFIG.format(folder=folder, port=own_cluster.port, own=PORT),
        "users.txt": "".join(f'"{role}" ""\n' for role in ("postgres", "app", READER, OWNER)),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
        account.take(folder / name)
    server = GivenServer(make_conninfo(host=str(folder), port=PORT, user="postgres", dbname="postgres"))
    process = subprocess.Popen([program, "-q", str(folder / "pgbouncer.ini")], cwd="/", **account.popen_options())
    try:
        wait_for(lambda: (folder / f".s.PGSQL.{PORT}").exists())
        yield server
    finally:
        process.terminate()
        process.wait()
        for name in (*files, "pgbouncer.log"):
            (folder / name).unlink(missing_ok=True)


def _state(connection: psycopg.Connection[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """What a server connection remembers, whoever asks."""
    return [
        *connection.execute(
            "SELECT name, setting FROM pg_settings WHERE name NOT IN ('application_name', 'client_encoding')"
        ).fetchall(),
        *connection.execute("SELECT locktype FROM pg_locks WHERE locktype = 'advisory'").fetchall(),
        *connection.execute("SELECT name FROM pg_prepared_statements").fetchall(),
    ]


def test_the_application_writes_on_after_our_polls(own: Site, pooler: Server) -> None:
    name = own.database.name
    # The application and the store's owner share a role, and so the only server connection.
    with own.database.connect() as connection:
        connection.execute(f"CREATE TABLE public.bet (id int); ALTER TABLE public.bet OWNER TO {OWNER}".encode())
        connection.execute(f"GRANT pg_monitor TO {OWNER}".encode())
    own.targets = {TARGET: pooler.dsn(name, OWNER)}
    own.configure(store=pooler.dsn(name, OWNER), allow_superuser=True)
    try:
        with psycopg.connect(pooler.dsn(name, OWNER), autocommit=True, prepare_threshold=None) as application:
            pid = application.execute("SELECT pg_backend_pid()").fetchone()
            before = _state(application)
            for number in range(3):
                done = own.run("collect")
                assert f"{len(SNAPSHOTS)} snapshots stored" in done.stderr
                # With a SET that outlived us: "cannot execute INSERT in a read-only transaction".
                application.execute("INSERT INTO public.bet VALUES (%s)", (number,))
                assert application.execute("SELECT pg_backend_pid()").fetchone() == pid
            assert _state(application) == before
        with own.start("run"):
            wait_for(lambda: own.value("SELECT count(*) FROM monitoring.snapshot") > 5 * len(SNAPSHOTS))
            with psycopg.connect(pooler.dsn(name, OWNER), autocommit=True, prepare_threshold=None) as application:
                application.execute("INSERT INTO public.bet VALUES (3)")
    finally:
        with own.database.connect() as connection:
            connection.execute(f"REVOKE pg_monitor FROM {OWNER}".encode())
    assert own.value("SELECT count(*) FROM public.bet") == 4
    assert own.is_consistent()


def test_a_poll_that_fails_leaves_nothing_either(own: Site, pooler: Server) -> None:
    name = own.database.name
    own.add_file(
        "metrics/broken.sql",
        "-- Fails.\n--\n-- interval: 15s\n-- timeout: 100ms\n-- columns:\n--   v  gauge  bigint  value\n"
        "select count(*) as v from pg_sleep(5)\n",
    )
    own.targets = {TARGET: pooler.dsn(name, READER)}
    own.configure(queries_dir="queries")
    with psycopg.connect(pooler.dsn(name, READER), autocommit=True, prepare_threshold=None) as other:
        before = _state(other)
        assert "statement timeout" in own.run("collect", check=10).stderr
        assert _state(other) == before


def test_the_doctor_says_that_a_pooler_is_in_between(own: Site, pooler: Server) -> None:
    name = own.database.name
    own.targets = {TARGET: pooler.dsn(name, READER)}
    own.configure(store=pooler.dsn(name, OWNER))
    text = " ".join(own.run("doctor").stdout.split())
    assert "warn store: pooler:" in text
    assert f"warn {TARGET}: pooler:" in text
    own.targets = {TARGET: own.database.dsn(READER)}
    own.configure()
    assert "pooler" not in own.run("doctor").stdout


def test_init_and_rollback_through_a_pooler(own: Site, pooler: Server, tmp_path: Path) -> None:
    own.configure(store=pooler.dsn(own.database.name, OWNER))
    own.run("rollback", "--yes")
    own.run("init")
    own.run("collect")
    assert own.value("SELECT count(*) FROM monitoring.snapshot") == len(SNAPSHOTS)
