"""A target under torment, a store out of its reach, and a ledger of what really happened on the target.

The real way of a reading is taken, in this process: poll_target() and Writer.write(). Each snapshot holds what was
stored to the ledger, at once.
"""

from __future__ import annotations

import secrets
import shutil
import threading
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from psycopg.errors import DeadlockDetected

from sbpgmon.catalog.catalog import Catalog, load_catalog
from sbpgmon.collect.poll import poll_target, unreachable
from sbpgmon.config import Settings
from sbpgmon.demo.server import Cluster
from sbpgmon.errors import TargetError
from sbpgmon.model import Due, TargetPoll
from sbpgmon.sources.session import Session
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.spool import Spool
from sbpgmon.store.upgrade import init
from sbpgmon.store.writer import Writer
from tests.chaos.ledger import DATABASE_COUNTS, Delta, Ledger, Seen, Statement
from tests.chaos.server import ENTRIES, READER, Victim, statement

METRICS = ("stat_statements", "stat_statements_info", "stat_database", "roles")
USERS = ("postgres", "chaos_user")
NOTHING = timedelta(0)


@dataclass
class Store:
    """The schema `monitoring`, on a server that nothing happens to; each world has a target name of its own."""

    server: Cluster
    folder: Path
    catalog: Catalog = field(init=False, repr=False)
    connection: StoreConnection = field(init=False)
    spool: Spool = field(init=False)

    def __post_init__(self) -> None:
        self.catalog = load_catalog()
        self.connection = StoreConnection(self.server.dsn())
        self.spool = Spool(self.folder, 10**8)
        init(self.connection, self.catalog, [])

    def crash(self) -> None:
        """What is UNLOGGED is empty afterwards: the last counters of all targets."""
        self.connection.close()
        self.server.crash()
        self.server.start()

    def forget(self, target: str) -> None:
        """Takes the last readings of a target from the state folder."""
        shutil.rmtree(self.folder / "last" / target, ignore_errors=True)


@dataclass
class World:
    """One target with its ledger. `lag`: how far behind real time both clocks of every reading are."""

    server: Victim
    store: Store
    lag: timedelta = NOTHING
    name: str = field(default_factory=lambda: f"t{secrets.token_hex(4)}")
    ledger: Ledger = field(default_factory=Ledger)
    database: str = ""
    user: str = USERS[1]

    def __post_init__(self) -> None:
        self.writer = Writer(self.store.connection, self.store.catalog, self.store.spool)
        self.server.start()
        with self.server.session() as admin:
            # What former worlds left would be evicted in this one.
            admin.execute("SELECT pg_stat_statements_reset()")
            if admin.execute("SELECT FROM pg_roles WHERE rolname = %s", (self.user,)).fetchone() is None:
                admin.execute(f"CREATE ROLE {self.user} LOGIN".encode())
        if self.database:
            oid = self.server.value("SELECT oid FROM pg_database WHERE datname = %s", self.database)
            self.ledger.databases[self.database] = oid
        else:
            self.database = self.create_database()
        # Before 15 the statistics of a database have a date from its first use on, as if that were a reset.
        self.in_database("SELECT 1")
        first = self.snapshot()
        assert first.quality["stat_statements"] == first.quality["stat_database"] == 2, "a baseline"

    # -- what is done on the target, and counted ---------------------------------------------------------------

    def create_database(self, name: str = "") -> str:
        name = name or f"d{secrets.token_hex(4)}"
        with self.server.session() as admin:
            admin.execute(f"CREATE DATABASE {name}".encode())
        self.ledger.databases[name] = self.server.value("SELECT oid FROM pg_database WHERE datname = %s", name)
        return name

    def create_role(self) -> str:
        name = f"r{secrets.token_hex(4)}"
        with self.server.session() as admin:
            admin.execute(f"CREATE ROLE {name} LOGIN".encode())
        return name

    def drop_database(self, name: str) -> None:
        with self.server.session() as admin:
            admin.execute(f"DROP DATABASE {name}".encode())
        del self.ledger.databases[name]

    def work(self, number: int, calls: int, *, rows: int = 1, database: str = "", user: str = "") -> Statement:
        """Runs a statement so many times in a session of its own, and waits until that is in the statistics."""
        database, user = database or self.database, user or self.user
        with self.server.session(database, user) as session:
            row = session.execute("SELECT usesysid FROM pg_user WHERE usename = current_user").fetchone()
            assert row is not None
            key = Statement(self.ledger.databases[database], row[0], self.server.ids[number])
            for _ in range(calls):
                session.execute(statement(number, rows).encode())
        self.server.settle(database)
        self.ledger.ran(key, calls, rows * calls)
        # To connect is a transaction too, and we asked for the user's OID.
        self.ledger.counted(database, xact_commit=calls + 2, sessions=1)
        return key

    def roll_back(self, times: int) -> None:
        with self.server.session(self.database, self.user) as session:
            for _ in range(times):
                with session.transaction(force_rollback=True):
                    session.execute("SELECT 1")
        self.server.settle(self.database)
        self.ledger.counted(self.database, xact_commit=1, xact_rollback=times, sessions=1)

    def in_database(self, query: str) -> None:
        """One statement of the superuser in our database: a commit, to connect another."""
        self.ledger.counted(self.database, xact_commit=2, sessions=1)
        with self.server.session(self.database) as session:
            session.execute(query.encode())
        self.server.settle(self.database)

    def reset_statements(self) -> None:
        with self.server.session() as admin:
            admin.execute("SELECT pg_stat_statements_reset()")

    def reset_statement(self, key: Statement) -> None:
        with self.server.session() as admin:
            admin.execute("SELECT pg_stat_statements_reset(%s, %s, %s)", (key.userid, key.dbid, key.queryid))
        self.ledger.reset_alone(key, self.server.major)

    def evict(self, *keys: Statement) -> None:
        """Other statements, each run more often than these, until these are gone; then there is room again.

        Without room, the statements of the next poll would evict others once more.
        """
        query = "SELECT calls FROM pg_stat_statements(false) WHERE (dbid, userid, queryid) = (%s, %s, %s) AND toplevel"
        used = {key.queryid for key in self._found() | self.ledger.statements.keys()}
        fillers = [number for number, queryid in self.server.ids.items() if queryid not in used and number > 20]
        [(dbid, userid)] = self.server.ask(
            "SELECT d.oid, r.oid FROM pg_database d, pg_roles r WHERE (datname, rolname) = ('postgres', %s)", self.user
        )
        filled: list[Statement] = []
        with self.server.session() as admin, self.server.session(user=self.user) as session:
            for key in keys:
                while (row := admin.execute(query, (key.dbid, key.userid, key.queryid)).fetchone()) is not None:
                    number, calls = fillers.pop(), 10 + 2 * int(row[0])
                    for _ in range(calls):
                        session.execute(statement(number).encode())
                    filled.append(Statement(dbid, userid, self.server.ids[number]))
                    self.ledger.ran(filled[-1], calls, calls)
            for key in filled[-ENTRIES // 3 :]:
                admin.execute("SELECT pg_stat_statements_reset(%s, %s, %s)", (userid, dbid, key.queryid))

    def deadlock(self) -> None:
        """Two sessions that wait for each other, until the server ends one."""
        both = threading.Barrier(2, timeout=60)
        victims = []

        def lock(first: int, second: int) -> None:
            with self.server.session(self.database, self.user) as session:
                try:
                    with session.transaction():
                        session.execute("SELECT pg_advisory_xact_lock(%s)", (first,))
                        both.wait()
                        session.execute("SELECT pg_advisory_xact_lock(%s)", (second,))
                except DeadlockDetected:
                    victims.append(first)

        threads = [threading.Thread(target=lock, args=order) for order in ((1, 2), (2, 1))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.server.settle(self.database)
        assert len(victims) == 1
        self.ledger.counted(self.database, xact_commit=2 + 1, xact_rollback=1, sessions=2, deadlocks=1)

    def move(self) -> None:
        """The server is another one: what happened on the last one is nobody's business any more."""
        self.ledger = Ledger()
        oid = self.server.value("SELECT oid FROM pg_database WHERE datname = %s", self.database)
        self.ledger.databases[self.database] = oid

    # -- snapshots ---------------------------------------------------------------------------------------------

    def snapshot(self, *, agent: timedelta = NOTHING, target: timedelta = NOTHING) -> Seen:
        """One poll, stored and held to the ledger; `agent` and `target` set their clocks."""
        with Session(self.store_settings.targets[0], 5.0) as session:
            poll = poll_target(session, self._due(), self.store_settings, {}, (), look_for_writes=False)
        shifted = [
            replace(
                reading,
                agent_time=reading.agent_time - self.lag + agent,
                target_time=None if reading.target_time is None else reading.target_time - self.lag + target,
            )
            for reading in poll.readings
        ]
        return self._write(replace(poll, readings=tuple(shifted)))

    def failed_snapshot(self) -> Seen:
        """One poll of a target that lets nobody in."""
        with self.server.session() as admin:
            admin.execute(f"ALTER ROLE {READER} NOLOGIN".encode())
            try:
                with Session(self.store_settings.targets[0], 5.0):
                    raise AssertionError("the target let the agent in")
            except TargetError as error:
                poll = unreachable(self.name, self._due(), error)
            finally:
                admin.execute(f"ALTER ROLE {READER} LOGIN".encode())
        readings = tuple(replace(r, agent_time=r.agent_time - self.lag) for r in poll.readings)
        seen = self._write(replace(poll, readings=readings))
        assert set(seen.status.values()) == {"unreachable"}
        return seen

    @property
    def store_settings(self) -> Settings:
        target = {"name": self.name, "dsn": self.server.dsn(user=READER)}
        return Settings(store={"dsn": self.store.server.dsn()}, targets=[target])  # type: ignore[arg-type, list-item]

    def _due(self) -> list[Due]:
        return [Due(self.store.catalog.metrics[name], 0, 60.0) for name in METRICS]

    def _write(self, poll: TargetPoll) -> Seen:
        result = self.writer.write(poll)
        seen = Seen(rejected=dict(result.failures), refusal=result.refusal)
        times: dict[str, Any] = {}
        for metric, time, status, quality, seconds in self.ask(
            "SELECT DISTINCT ON (m.name) m.name, l.ts, l.status, l.quality, l.interval_seconds "
            "FROM monitoring.snapshot_log l JOIN monitoring.metric m USING (metric_id) "
            "JOIN monitoring.target t USING (target_id) WHERE t.name = %s ORDER BY m.name, l.snapshot_id DESC",
            self.name,
        ):
            seen.status[metric], seen.quality[metric], seen.interval[metric] = status, quality, seconds
            times[metric] = time
        for dbid, userid, queryid, quality, calls, rows in self.ask(
            "SELECT dbid, userid, queryid, quality, calls, rows FROM monitoring.stat_statements "
            "WHERE target = %s AND time = %s AND toplevel",
            *(self.name, times["stat_statements"]),
        ):
            seen.statements[Statement(dbid, userid, queryid)] = Delta(quality, {"calls": calls, "rows": rows})
        for datid, quality, *values in self.ask(
            f"SELECT datid, quality, {', '.join(DATABASE_COUNTS)} FROM monitoring.stat_database "
            "WHERE target = %s AND time = %s",
            *(self.name, times["stat_database"]),
        ):
            seen.databases[datid] = Delta(quality, dict(zip(DATABASE_COUNTS, values, strict=True)))
        self.ledger.hold(seen, set(self.server.ids.values()), self._found())
        return seen

    def _found(self) -> set[Statement]:
        query = "SELECT dbid, userid, queryid FROM pg_stat_statements(false) WHERE toplevel"
        return {Statement(*row) for row in self.server.ask(query)} if self.server.is_running else set()

    def ask(self, query: str, *params: object) -> list[tuple[Any, ...]]:
        """Rows of the store."""
        return self.store.connection.raw.execute(query.encode(), params).fetchall()
