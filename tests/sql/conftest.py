"""A target with the role that the agent is meant to have, and a store with the shipped catalog."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.config import Settings, Target
from sbpgmon.demo.server import Cluster
from sbpgmon.store.upgrade import init
from tests.conftest import Database, Server
from tests.integration.support import wait_for
from tests.sql.counters import counters_lab
from tests.sql.lab import Lab, scratch
from tests.standby import Standby

EXTENSION_SCHEMA = 'Ext "1"'


@dataclass(frozen=True)
class Site:
    """A database to be read, and a role with pg_monitor alone."""

    database: Database  # where one may write
    role: str
    standby: Standby | None = None  # what is read instead

    @property
    def read_from(self) -> Database:
        return Database(self.standby, self.database.name) if self.standby else self.database

    @property
    def target(self) -> Target:
        return Target(name="app", dsn=self.read_from.dsn(self.role))

    @property
    def settings(self) -> Settings:
        return Settings(targets=[self.target])

    def install(self, version: str = "") -> None:
        """pg_stat_statements anew, in that version or the server's own, where it is read too."""
        schema = sql.Identifier(EXTENSION_SCHEMA)
        wanted = sql.SQL(" VERSION {}").format(sql.Literal(version)) if version else sql.SQL("")
        with self.database.connect() as admin:
            admin.execute("DROP EXTENSION IF EXISTS pg_stat_statements")
            admin.execute(sql.SQL("CREATE EXTENSION pg_stat_statements SCHEMA {}").format(schema) + wanted)
        if self.standby:
            self.standby.catch_up()


@contextlib.contextmanager
def _reader(server: Server) -> Iterator[str]:
    name = f"reader_{secrets.token_hex(4)}"
    quoted = sql.Identifier(name)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(quoted))
        connection.execute(sql.SQL("GRANT pg_monitor TO {}").format(quoted))
    yield name
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP ROLE {}").format(quoted))


@contextlib.contextmanager
def _site(server: Server, reader: str, standby: Standby | None = None) -> Iterator[Site]:
    with scratch(server) as database:
        with database.connect() as connection:
            schema = sql.Identifier(EXTENSION_SCHEMA)
            # PUBLIC may create in public before 15: that is a write privilege the agent looks past.
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, sql.Identifier(reader)))
        site = Site(database, reader, standby)
        site.install()
        yield site


@pytest.fixture(scope="session")
def reader(cluster: Server) -> Iterator[str]:
    """A login role that is a member of pg_monitor and nothing else."""
    with _reader(cluster) as name:
        yield name


@pytest.fixture
def site(cluster: Server, reader: str) -> Iterator[Site]:
    """A database where pg_stat_statements lies in a schema that has to be quoted."""
    with _site(cluster, reader) as site:
        yield site


@pytest.fixture(scope="session")
def _pair(room: Path) -> Iterator[tuple[Cluster, Standby]]:
    """A primary and its standby: not the session's server, whose WAL of all tests a standby would replay."""
    bin_dir = os.environ.get("SBPGMON_TEST_BINDIR")
    settings = {"shared_buffers": "16MB", "max_connections": "30"}
    with (
        Cluster(room / "primary", bin_dir=Path(bin_dir) if bin_dir else None, settings=settings) as primary,
        Standby(room / "standby", primary) as standby,
    ):
        yield primary, standby


@pytest.fixture(scope="module", params=["primary", "standby"])
def either(request: pytest.FixtureRequest, _pair: tuple[Cluster, Standby]) -> Iterator[Site]:
    """A site on a primary, and one on a standby."""
    primary, standby = _pair
    with (
        _reader(primary) as reader,
        _site(primary, reader, standby if request.param == "standby" else None) as site,
    ):
        yield site


@pytest.fixture
def contended(either: Site) -> Iterator[Site]:
    """The same with sessions that hold and await a lock: the one kind that sessions of a standby keep from others."""
    with either.read_from.connect() as holder, either.read_from.connect() as waiter:
        holder.execute("SELECT pg_advisory_lock(1)")
        waiter.pgconn.send_query(b"SELECT pg_advisory_lock(1)")
        query = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s"
        wait_for(lambda: holder.execute(query, (waiter.info.backend_pid,)).fetchone() == ("Lock",))
        yield either


@pytest.fixture(scope="session")
def grafana(cluster: Server) -> Iterator[str]:
    """A login role that reads the views."""
    name = f"grafana_{secrets.token_hex(4)}"
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    yield name
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def shipped(cluster: Server, grafana: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A store with everything that is shipped."""
    with scratch(cluster) as database:
        lab = Lab(database, load_catalog(), tmp_path_factory.mktemp("shipped"))
        init(lab.store, lab.catalog, [grafana])
        yield lab
        lab.store.close()


@pytest.fixture(scope="session")
def counters(cluster: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A store with metrics of every shape."""
    with counters_lab(cluster, tmp_path_factory.mktemp("counters")) as lab:
        yield lab


@pytest.fixture
def lab(counters: Lab) -> Iterator[Lab]:
    """The same with a target of the test's own."""
    fresh = counters.another()
    yield fresh
    fresh.store.close()
