"""Monitored databases: on the session's server, and on one that a test may stop, crash and starve."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sbpgmon.demo.server import Cluster
from tests.conftest import Database, GivenServer, Server
from tests.integration.support import Site, fresh_database, make_template
from tests.standby import Standby


@pytest.fixture(scope="session")
def template(cluster: Server) -> str:
    return make_template(cluster)


@pytest.fixture
def monitored(cluster: Server, template: str, make_role: Callable[..., str], tmp_path: Path) -> Iterator[Site]:
    """A fresh database with the schema, that is its own store; nothing has been polled. Roles go after it."""
    with fresh_database(cluster, template) as database:
        yield Site(database, tmp_path / "site")


@pytest.fixture
def bare(cluster: Server, make_role: Callable[..., str], tmp_path: Path) -> Iterator[Site]:
    """The same without the schema and without pg_stat_statements."""
    with fresh_database(cluster) as database:
        yield Site(database, tmp_path / "bare")


@pytest.fixture
def offline(tmp_path: Path) -> Site:
    """A configuration whose server does not exist: for what is wrong before anything is connected to."""
    return Site(Database(GivenServer("host=/nowhere"), "nothing"), tmp_path / "offline")


@pytest.fixture(scope="session")
def bin_dir() -> Path | None:
    """The server's programs; None: those of the wheel."""
    given = os.environ.get("SBPGMON_TEST_BINDIR")
    return Path(given) if given else None


@pytest.fixture(scope="session")
def _own_cluster(room: Path, bin_dir: Path | None) -> Iterator[tuple[Cluster, str]]:
    with Cluster(room / "own", bin_dir=bin_dir, tcp=True) as cluster:
        yield cluster, make_template(cluster)


@pytest.fixture
def own_cluster(_own_cluster: tuple[Cluster, str]) -> Iterator[Cluster]:
    """A server that the test may stop and crash; it listens on TCP too, with scram."""
    cluster, _ = _own_cluster
    cluster.start()
    yield cluster
    cluster.start()


@pytest.fixture
def outage(own_cluster: Cluster, _own_cluster: tuple[Cluster, str], monitored: Site, tmp_path: Path) -> Iterator[Site]:
    """A store on a server that can be stopped, and its target on another, which goes on."""
    _, template = _own_cluster
    with fresh_database(own_cluster, template) as database:
        yield Site(database, tmp_path / "outage", dict(monitored.targets))
        own_cluster.start()


@pytest.fixture
def own(own_cluster: Cluster, _own_cluster: tuple[Cluster, str], tmp_path: Path) -> Iterator[Site]:
    """A database on a server that can be stopped, its own store."""
    _, template = _own_cluster
    with fresh_database(own_cluster, template) as database:
        yield Site(database, tmp_path / "own")
        own_cluster.start()


@pytest.fixture
def standby(own_cluster: Cluster, tmp_path: Path) -> Iterator[Standby]:
    """A hot standby of `own_cluster`."""
    with Standby(tmp_path / "standby", own_cluster) as server:
        server.catch_up()
        yield server
