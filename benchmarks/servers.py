"""The two clusters: a target with its statements, and a store. Apart, so that their backends' CPU is apart."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.workload import Statement, create_tables, distinct_statements, run_once
from sbpgmon.catalog.catalog import Catalog
from sbpgmon.demo.server import Cluster
from sbpgmon.present.grants import grants_sql
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.upgrade import init

TARGET_DATABASE = "sportsbook"
READER = "sbpgmon_reader"
OWNER = "sbpgmon_owner"
# Checkpoints are ours alone; everything else about WAL is as initdb leaves it.
_COMMON = {"checkpoint_timeout": "1d", "max_wal_size": "4GB", "autovacuum": "on"}
_TARGET = {
    "pg_stat_statements.max": "10000",
    # With planning counted, a cached SELECT moves six counters (without it, four).
    "pg_stat_statements.track_planning": "on",
}


@dataclass(frozen=True)
class Servers:
    """What the benchmark measures, running; `folder` is for files of the agent's."""

    target: Cluster
    store: Cluster
    statements: list[Statement]
    folder: Path

    def connect(self, cluster: Cluster, database: str) -> psycopg.Connection[Any]:
        """A superuser's connection, in autocommit."""
        return psycopg.connect(cluster.dsn(database), autocommit=True, prepare_threshold=None)

    def create_target(self, database: str) -> str:
        """A database with pg_stat_statements, and the reader's DSN for it."""
        with self.connect(self.target, "postgres") as conn:
            conn.execute(f"CREATE DATABASE {database}".encode())
            conn.execute(grants_sql(database).encode())
        with self.connect(self.target, database) as conn:
            conn.execute(b"CREATE EXTENSION pg_stat_statements")
        return self.target.dsn(database, READER)

    def create_store(self, database: str, catalog: Catalog) -> str:
        """A database with the schema `monitoring`, and its owner's DSN."""
        with self.connect(self.store, "postgres") as conn:
            conn.execute(f"CREATE DATABASE {database}".encode())
            conn.execute(grants_sql(database).encode())
        dsn = self.store.dsn(database, OWNER)
        store = StoreConnection(dsn)
        with contextlib.closing(store):
            init(store, catalog, ["grafana_reader"])
        return dsn

    def write_config(self, name: str, store_dsn: str, targets: dict[str, str], more: str = "") -> Path:
        """A configuration file for the agent, with a state folder of its own; `targets` are names and DSNs."""
        path = self.folder / f"{name}.toml"
        lines = [f"state_dir = {_quoted(str(self.folder / name))}"]
        lines += ["[store]", f"dsn = {_quoted(store_dsn)}"]
        for target, dsn in targets.items():
            lines += ["[[targets]]", f"name = {_quoted(target)}", f"dsn = {_quoted(dsn)}"]
        path.write_text("\n".join([*lines, more, ""]), encoding="utf-8")
        return path


def _quoted(text: str) -> str:
    return json.dumps(text)  # a JSON string is a TOML string


@contextlib.contextmanager
def servers(
    count: int,
    advance: Callable[[int], None],
    bin_dir: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Servers]:
    """Two clusters, `count` distinct statements run once on the target; both are removed at the end.

    The programs are those in `bin_dir`, or the wheel's; `settings` are of both. fsync is on, checksums are as initdb
    leaves them. Raises ClusterError when a server does not start.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sbpgmon-bench-")))
        common = {**_COMMON, **(settings or {})}
        target = stack.enter_context(Cluster(folder / "target", bin_dir=bin_dir, fsync=True, settings=common | _TARGET))
        store = stack.enter_context(Cluster(folder / "store", bin_dir=bin_dir, fsync=True, settings=common))
        made = Servers(target, store, distinct_statements(count), folder)
        made.create_target(TARGET_DATABASE)
        with made.connect(target, TARGET_DATABASE) as conn:
            create_tables(conn, made.statements)
            conn.execute(b"SELECT pg_stat_statements_reset()")
            run_once(conn, made.statements, advance)
        yield made
