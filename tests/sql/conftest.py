"""A target with the role that the agent is meant to have, and a store with the shipped catalog."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.config import Settings, Target
from sbpgmon.store.upgrade import init
from tests.conftest import Database, Server
from tests.sql.counters import counters_lab
from tests.sql.lab import Lab, scratch

EXTENSION_SCHEMA = 'Ext "1"'


@dataclass(frozen=True)
class Site:
    """A database to be read, and a role with pg_monitor alone."""

    database: Database
    role: str

    @property
    def target(self) -> Target:
        return Target(name="app", dsn=self.database.dsn(self.role))

    @property
    def settings(self) -> Settings:
        return Settings(targets=[self.target])


@pytest.fixture(scope="session")
def reader(cluster: Server) -> Iterator[str]:
    """A login role that is a member of pg_monitor and nothing else."""
    name = f"reader_{secrets.token_hex(4)}"
    quoted = sql.Identifier(name)
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(quoted))
        connection.execute(sql.SQL("GRANT pg_monitor TO {}").format(quoted))
    yield name
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP ROLE {}").format(quoted))


@pytest.fixture
def site(cluster: Server, reader: str) -> Iterator[Site]:
    """A database where pg_stat_statements lies in a schema that has to be quoted."""
    with scratch(cluster) as database:
        with database.connect() as connection:
            schema = sql.Identifier(EXTENSION_SCHEMA)
            # PUBLIC may create in public before 15: that is a write privilege the agent looks past.
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, sql.Identifier(reader)))
            connection.execute(sql.SQL("CREATE EXTENSION pg_stat_statements SCHEMA {}").format(schema))
        yield Site(database, reader)


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
