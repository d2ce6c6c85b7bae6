"""The server that the suite torments: its ways to die, and the statements whose queryids are known beforehand."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg

from sbpgmon.demo.processes import is_alive
from sbpgmon.demo.server import Cluster
from tests import standby
from tests.conftest import Database
from tests.integration.support import settle, wait_for

READER = "chaos_reader"
# The smallest that the server takes: a hundred statements evict the first ones.
ENTRIES = 100
SETTINGS = {
    "autovacuum": "off",  # its transactions would be counted with ours
    "pg_stat_statements.max": str(ENTRIES),
    "shared_buffers": "16MB",
    "max_connections": "30",
    "log_min_messages": "fatal",
}


class Victim(Cluster):
    """A cluster with a small pg_stat_statements, on which everything may be done."""

    ids: Mapping[int, int] = MappingProxyType({})  # number of a statement -> its queryid

    def prepare(self) -> None:
        """The extension, the agent's role, and statements enough to evict all others several times."""
        with self.session() as admin:
            admin.execute("CREATE EXTENSION pg_stat_statements")
            admin.execute(f"CREATE ROLE {READER} LOGIN; GRANT pg_monitor TO {READER}".encode())
            self.ids = {number: _queryid(admin, number) for number in range(1, 4 * ENTRIES + 1)}

    @contextlib.contextmanager
    def session(self, database: str = "postgres", user: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        """An autocommit session, closed at the end. It prepares nothing: that would be a transaction more."""
        with contextlib.closing(
            psycopg.connect(self.dsn(database, user), autocommit=True, prepare_threshold=None)
        ) as connection:
            yield connection

    def ask(self, query: str, *params: object, database: str = "postgres") -> list[tuple[Any, ...]]:
        with self.session(database) as connection:
            return connection.execute(query.encode(), params or None).fetchall()

    def value(self, query: str, *params: object, database: str = "postgres") -> Any:
        [(value,)] = self.ask(query, *params, database=database)
        return value

    @property
    def major(self) -> int:
        return int(self.value("SHOW server_version_num")) // 10000

    def settle(self, database: str) -> None:
        """Until what sessions in the database did is in its statistics."""
        settle(Database(self, database))

    # -- its ways to die ---------------------------------------------------------------------------------------

    def kill_backend(self) -> None:
        """SIGKILL of one backend: the postmaster stops all others and recovers, and goes on as the same one."""
        started = self.value("SELECT pg_postmaster_start_time()")
        with self.session() as witness, self.session() as doomed:
            os.kill(doomed.info.backend_pid, signal.SIGKILL)
            wait_for(lambda: _is_gone(witness))
        wait_for(self._answers)
        assert self.value("SELECT pg_postmaster_start_time()") == started

    def kill_postmaster(self) -> None:
        """SIGKILL of the postmaster, then a start."""
        pids = [pid for (pid,) in self.ask("SELECT pid FROM pg_stat_activity")]
        pid = self.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        # Its children end by themselves; before that, a start is refused.
        wait_for(lambda: not any(map(is_alive, (pid, *pids))))
        # Where nobody waits for the dead, the server takes the dead one for alive.
        for lock in (self.data_dir / "postmaster.pid", Path(str(self.socket_dir), f".s.PGSQL.{self.port}.lock")):
            lock.unlink()
        self.start()

    def stop_at_once_and_start(self) -> None:
        self.crash()
        self.start()

    def _answers(self) -> bool:
        try:
            return bool(self.value("SELECT true"))
        except psycopg.OperationalError:
            return False


class Standby(standby.Standby, Victim):
    """A hot standby of `primary`, and as much at the suite's mercy."""

    def __init__(self, data_dir: Path, primary: Victim) -> None:
        super().__init__(data_dir, primary)
        self.ids = primary.ids

    def promote(self) -> None:
        assert self.value("SELECT pg_promote(true, 60)")


def _is_gone(witness: psycopg.Connection[Any]) -> bool:
    try:
        witness.execute("SELECT true")
    except psycopg.OperationalError:
        return True
    return False


def statement(number: int, rows: int = 1) -> str:
    """The statement of that number: another queryid for each number, whatever the rows, the user and the database."""
    return f"SELECT {', '.join(['1'] * number)} FROM generate_series(1, {rows})"


def _queryid(admin: psycopg.Connection[Any], number: int) -> int:
    row = admin.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) {statement(number)}".encode()).fetchone()
    assert row is not None
    return int(row[0][0]["Query Identifier"])
