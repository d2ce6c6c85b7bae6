"""A monitored database, and the real program on it: what the tests of the agent, the weather and the CLI stand on."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sbpgmon.agent import Agent, Outcome
from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.collect.due import slot_at
from sbpgmon.config import load
from sbpgmon.model import TIER_SECONDS
from sbpgmon.present.grants import grants_sql
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.upgrade import init
from tests.conftest import Database, Server

READER, OWNER, GRAFANA = "sbpgmon_reader", "sbpgmon_owner", "grafana_reader"
# Those that are read wherever nothing is said of tenants.
METRICS = tuple(name for name, metric in load_catalog().metrics.items() if not (metric.source or metric.uses))
# What a poll stores snapshots of: also what is made of those readings, for every target.
SNAPSHOTS = (*METRICS, *(name for name, metric in load_catalog().metrics.items() if metric.source in METRICS
                         and not metric.only_with))  # fmt: skip
CHECKS = tuple(load_catalog().checks)
TARGET = "app"
# For `configure`: what has been read is not due again, and is kept until it would be.
ONLY_ONCE: dict[str, Any] = {
    "metrics": {name: {"interval": "10000d"} for name in METRICS},
    "checks": {name: {"interval": "10000d"} for name in CHECKS},
    "environment": {"retention": dict.fromkeys(TIER_SECONDS, "forever")},
}
GAP = 4  # the bit of `quality` that a slow machine may set
_SLOT_SECONDS = 0.1  # of the grid that `Site.configure` gives every metric


@dataclass
class Site:
    """A database with pg_stat_statements and the three roles, a configuration, and the program."""

    database: Database
    folder: Path
    targets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    _passed_at: float = 0.0  # when the last pass had ended

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.targets = self.targets or {TARGET: self.database.dsn(READER)}
        self.configure()

    # -- where things are ------------------------------------------------------------------------------------

    @property
    def config(self) -> Path:
        return self.folder / "sbpgmon.toml"

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def spooled(self) -> list[Path]:
        return sorted((self.state_dir / "spool").iterdir())

    # -- the configuration -----------------------------------------------------------------------------------

    def configure(
        self, *, store: str | None = None, metrics: Mapping[str, Mapping[str, Any]] | None = None, **more: Any
    ) -> None:
        """Writes the configuration anew: every metric every tenth of a second, texts as often, a tick a second.

        `more` are keys of the top; a mapping among them is a section.
        """
        agent = {"texts_every": "1ms", "lease": "30s"} | more.pop("agent", {})
        environment = {"tick": "1s"} | more.pop("environment", {})
        intervals: dict[str, dict[str, Any]] = {name: {"interval": "100ms"} for name in METRICS}
        for name, chosen in (metrics or {}).items():
            intervals[name] = intervals.get(name, {}) | dict(chosen)
        lines = [f"{key} = {_toml(value)}" for key, value in ({"state_dir": "state"} | more).items()]
        lines += _section("store", {"dsn": self.database.dsn(OWNER) if store is None else store})
        for name, dsn in self.targets.items():
            lines += ["", "[[targets]]", f"name = {json.dumps(name)}", f"dsn = {json.dumps(dsn)}"]
        lines += _section("environment", environment)
        lines += _section("agent", agent)
        for name, chosen in intervals.items():
            lines += _section(f"metrics.{name}", chosen)
        self.config.write_text("\n".join(lines) + "\n")

    def add_file(self, path: str, text: str) -> Path:
        """Writes an SQL file of the user's own, such as metrics/orders.sql; `configure(queries_dir="queries")`."""
        file = self.folder / "queries" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    # -- the program -----------------------------------------------------------------------------------------

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "sbpgmon", "--config", str(self.config), *args]

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "COLUMNS": "80"} | self.variables

    def run(self, *args: str, check: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        """The real program to its end; `check` is the exit code that it has to have. Never a traceback."""
        command = options.pop("command", None) or self.command(*args)
        done = subprocess.run(
            command, env=self.environment(), capture_output=True, text=True, timeout=120, check=False, **options
        )
        self._passed_at = time.time()
        shown = f"{args} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr, shown
        assert check is None or done.returncode == check, shown
        return done

    @contextlib.contextmanager
    def start(self, *args: str) -> Iterator[subprocess.Popen[str]]:
        """The real program, running; killed at the end if it still does. Its log is `folder`/log."""
        with (self.folder / "log").open("w") as log:
            process = subprocess.Popen(
                self.command(*args), env=self.environment(), stdout=log, stderr=subprocess.STDOUT, text=True
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def collect(self) -> Outcome:
        """One pass in this process: the same agent without the half second that Python needs to start."""
        agent = Agent(load(self.config))
        # A quick machine takes less than a slot for a pass, and in the same slot nothing would be due.
        while slot_at(time.time(), _SLOT_SECONDS) <= slot_at(self._passed_at, _SLOT_SECONDS):
            time.sleep(0.002)
        try:
            return agent.collect()
        finally:
            self._passed_at = time.time()

    def polled(self) -> Outcome:
        """One pass in which nothing goes wrong."""
        outcome = self.collect()
        assert outcome.worst is None, outcome.worst
        assert outcome.snapshots > 0
        return outcome

    # -- the store -------------------------------------------------------------------------------------------

    def ask(self, query: str, *params: object) -> list[tuple[Any, ...]]:
        """Rows of the store's database."""
        with self.database.connect() as connection:
            return connection.execute(query.encode(), params or None).fetchall()

    def value(self, query: str, *params: object) -> Any:
        [(value,)] = self.ask(query, *params)
        return value

    def is_consistent(self) -> bool:
        """Each snapshot is there whole or not at all: what it says it stored is there, and nothing else is."""
        said = dict(
            self.ask(
                "SELECT m.name || ' ' || t.name || ' ' || l.ts, sum(l.facts) FROM monitoring.snapshot_log l "
                "JOIN monitoring.metric m USING (metric_id) JOIN monitoring.target t USING (target_id) "
                "GROUP BY 1 HAVING sum(l.facts) > 0"
            )
        )
        stored: Counter[str] = Counter()
        for table, metric in self.ask(
            "SELECT c.oid::regclass::text, m.name FROM pg_class c JOIN monitoring.metric m "
            "ON c.relname ~ ('^' || m.name || '(_v[0-9]+)?_' || m.tier || '$') "
            "WHERE c.relkind = 'p' AND c.relnamespace = 'monitoring'::regnamespace"
        ):
            query = f"SELECT t.name || ' ' || f.ts, count(*) FROM {table} f JOIN monitoring.target t USING (target_id)"
            stored.update({f"{metric} {key}": count for key, count in self.ask(f"{query} GROUP BY 1")})
        return said == stored


def _section(name: str, values: Mapping[str, Any]) -> list[str]:
    return ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{json.dumps(key)} = {_toml(item)}' for key, item in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)


def make_roles(database: Database) -> None:
    """The three roles, by the SQL that `sbpgmon grants` prints; they are cluster-wide, and may be there."""
    with database.connect() as connection:
        connection.execute(grants_sql(database.name).encode())


def create_schema(database: Database) -> None:
    """What `sbpgmon init` does, in this process."""
    store = StoreConnection(database.dsn(OWNER))
    try:
        init(store, load_catalog(), [GRAFANA])
    finally:
        store.close()


def make_template(server: Server) -> str:
    """A database with pg_stat_statements and the schema: copying it is faster than making it anew."""
    database = Database(server, f"template_{secrets.token_hex(4)}")
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database.name)))
    make_roles(database)
    with database.connect() as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
    create_schema(database)
    return database.name


@contextlib.contextmanager
def fresh_database(server: Server, template: str | None = None) -> Iterator[Database]:
    """A database with a random name, with the roles let in; dropped at the end."""
    database = Database(server, f"test_{secrets.token_hex(6)}")
    name = sql.Identifier(database.name)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(template or "template1"))
        )
    make_roles(database)
    if template is not None:
        # What other tests left would be read, and its texts fetched, at every poll.
        with database.connect() as connection:
            connection.execute("SELECT pg_stat_statements_reset()")
    try:
        yield database
    finally:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


def wait_for(what: Callable[[], object], seconds: float = 30.0) -> None:
    """Until it holds; fails when it never does."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def settle(database: Database) -> None:
    """Until all sessions in the database have ended, and so have told the server what they did."""
    with psycopg.connect(database.server.dsn(), autocommit=True) as connection:
        query = "SELECT FROM pg_stat_activity WHERE datname = %s"
        wait_for(lambda: not connection.execute(query, (database.name,)).fetchall())
        if connection.info.server_version < 150000:
            time.sleep(1)  # the collector's messages have no end that could be waited for
