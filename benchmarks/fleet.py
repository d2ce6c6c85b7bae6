"""A fleet of a year: which targets there are, what each metric's series are, and what their values look like.

Everything is named and ranked here; how much of it lies in which tier is filling.py's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sbpgmon.model import Kind, Metric

STATEMENTS = "stat_statements"
BUSY_SHARE = 0.1  # of the targets: these have statements, and are polled as often as the catalog says
QUIET_SECONDS = 60  # the others are polled once a minute

_BRANDS = ("sportsbook", "casino", "payments", "odds", "wallet", "loyalty", "risk", "reporting", "identity", "content")
_COUNTRIES = (
    "de",
    "at",
    "ch",
    "dk",
    "se",
    "no",
    "fi",
    "nl",
    "be",
    "fr",
    "es",
    "it",
    "pt",
    "pl",
    "cz",
    "ro",
    "gr",
    "ie",
)
_ROLES = ("app_writer", "app_reader", "bi_reader", "migrator", "postgres", "orleans")
_TABLES = (
    "bets", "bet_legs", "markets", "market_outcomes", "events", "event_results", "odds_history", "wallets",
    "wallet_entries", "customers", "customer_limits", "sessions", "bonuses", "bonus_grants", "deposits",
    "withdrawals", "settlements", "settlement_batches", "grain_storage", "grain_reminders", "outbox", "audit_log",
    "risk_scores", "promotions", "price_feeds", "feed_messages", "tenants", "tenant_settings", "kyc_documents",
    "fx_rates",
)  # fmt: skip
_COLUMNS = (
    "id", "tenant_id", "customer_id", "event_id", "market_id", "status", "stake_amount", "currency", "placed_at",
    "settled_at", "payout_amount", "price", "version", "payload", "created_at", "updated_at", "channel", "reason",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """How large the fleet is."""

    targets: int = 50
    busy: int = 5
    statements: int = 5000  # of each busy target
    seed: int = 1

    @classmethod
    def scaled(cls, targets: int, scale: float, seed: int) -> Shape:
        """`scale` shrinks the number of statements."""
        return cls(targets, max(1, round(targets * BUSY_SHARE)), max(20, round(5000 * scale)), seed)


def target_names(count: int) -> list[str]:
    """Names of targets; the first ones are the busy ones."""
    names = [f"{brand}-{country}" for country in _COUNTRIES for brand in _BRANDS]
    names += [f"tenant-{number:04d}" for number in range(max(0, count - len(names)))]
    return names[:count]


def statement_texts(count: int, seed: int) -> list[str]:
    """Distinct normalized statements, as pg_stat_statements shows them, hot and rare ones mixed."""
    dice = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[_statement(dice)] = None
    return list(found)


def _statement(dice: random.Random) -> str:
    table, other = dice.sample(_TABLES, 2)
    columns = dice.sample(_COLUMNS, dice.randint(2, 9))
    listed = ", ".join(columns)
    where = " AND ".join(f"{column} = ${place}" for place, column in enumerate(dice.sample(_COLUMNS, 3), start=1))
    kind = dice.randrange(10)
    if kind < 4:
        return f"SELECT {listed} FROM {table} WHERE {where} ORDER BY {columns[0]} DESC LIMIT $4"
    if kind < 6:
        joined = ", ".join(f"a.{column}" for column in columns)
        return (
            f"SELECT {joined}, b.{columns[-1]} FROM {table} AS a JOIN {other} AS b ON b.{table}_id = a.id "
            f"WHERE a.tenant_id = $1 AND b.{columns[0]} > $2"
        )
    if kind == 6:
        return f"SELECT count(*), sum({columns[0]}) FROM {table} WHERE {where} GROUP BY {listed}"
    if kind == 7:
        values = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
        return f"INSERT INTO {table} ({listed}) VALUES ({values}) ON CONFLICT (id) DO NOTHING"
    if kind == 8:
        sets = ", ".join(f"{column} = ${place}" for place, column in enumerate(columns, start=4))
        return f"UPDATE {table} SET {sets} WHERE {where}"
    return f"DELETE FROM {table} WHERE {where} AND {columns[0]} < $4"


def series_of(metric: Metric, *, is_busy: bool, name: str) -> Iterator[tuple[dict[str, Any], float, float]]:
    """The series of one target: key values, size, and the share of the polls that have it.

    A metric that is not known here gets some series whose keys are made up.
    """
    databases = _databases(is_busy=is_busy, name=name)
    match metric.name:
        case "stat_database":
            yield from (({"datid": oid}, size, 1.0) for oid, _, size in databases)
        case "database_size":
            yield from (({"datid": oid}, size, 1.0) for oid, _, size in databases if oid)
        case "roles":
            yield from (({"userid": 10 + 16374 * place}, 1.0, 1.0) for place in range(len(_ROLES)))
        case "connections":
            yield from _connections(databases, is_busy=is_busy)
        case "locks":
            modes = ["AccessShareLock", "RowExclusiveLock", "RowShareLock", "ExclusiveLock"]
            for place, mode in enumerate(modes if is_busy else modes[:2]):
                keys = {"datname": databases[-1][1], "mode": mode, "granted": True}
                yield keys, 6.0 / (place + 1), (1.0 if is_busy else 0.6) / (place + 1) ** 0.5
        case "blocked_sessions":
            keys = {"datname": databases[-1][1], "blocked_usename": "app_writer", "blocking_usename": "app_writer"}
            if is_busy:
                yield keys | {"blocking_state": "active"}, 1.0, 0.03
                yield keys | {"blocking_state": "idle in transaction"}, 1.0, 0.005
        case _ if metric.keys:
            for place in range(1, (6 if is_busy else 3)):
                yield {key.name: _made_up(key.type.name, key.name, place) for key in metric.keys}, 1.0 / place, 1.0
        case _:
            yield {}, 1.0 if is_busy else 0.08, 1.0


def _databases(*, is_busy: bool, name: str) -> list[tuple[int, str, float]]:
    """OID, name, size; the last one is the target's own, OID 0 is what all share."""
    own = name.replace("-", "_")
    found = [(0, "(shared)", 0.02), (1, "template1", 0.001), (4, "template0", 0.001), (5, "postgres", 0.01)]
    if is_busy:
        found += [(16400, "orleans", 0.3), (16401, "archive", 0.05), (16402, "staging", 0.1)]
    return [*found, (16384, own, 1.0 if is_busy else 0.05)]


def _connections(
    databases: Sequence[tuple[int, str, float]], *, is_busy: bool
) -> Iterator[tuple[dict[str, Any], float, float]]:
    own = databases[-1][1]
    groups = [("app_writer", "idle", "Client", "ClientRead", 12.0, 1.0), ("app_writer", "active", "", "", 2.0, 0.5)]
    if is_busy:
        groups += [
            ("app_reader", "idle", "Client", "ClientRead", 30.0, 1.0),
            ("app_reader", "active", "", "", 4.0, 0.9),
            ("app_reader", "active", "IO", "DataFileRead", 1.5, 0.5),
            ("app_writer", "active", "LWLock", "WALWrite", 1.2, 0.3),
            ("app_writer", "idle in transaction", "Client", "ClientRead", 1.5, 0.6),
            ("app_writer", "active", "Lock", "transactionid", 1.1, 0.05),
            ("bi_reader", "active", "", "", 1.0, 0.4),
            ("orleans", "idle", "Client", "ClientRead", 20.0, 1.0),
            ("orleans", "active", "", "", 2.0, 0.8),
        ]
    for usename, state, kind, event, size, presence in groups:
        keys = {"datname": own, "usename": usename, "state": state, "wait_event_type": kind, "wait_event": event}
        yield keys, size if is_busy else size / 4, presence


def _made_up(type_: str, name: str, place: int) -> Any:
    if type_ == "text":
        return f"{name}_{place}"
    return place % 2 == 0 if type_ == "boolean" else place


def infos_of(metric: Metric, keys: Mapping[str, Any], *, is_busy: bool, name: str, version: str) -> dict[str, Any]:
    """The info columns of one series; as text, which the server casts."""
    names = {oid: datname for oid, datname, _ in _databases(is_busy=is_busy, name=name)}
    role = _ROLES[(keys["userid"] - 10) // 16374] if metric.name == "roles" else ""
    known: dict[str, Any] = {
        "datname": names.get(keys.get("datid", -1)),
        "usename": role,
        "rolsuper": role == "postgres",
        "rolbypassrls": role == "postgres",
        "rolcanlogin": True,
        "version": f"PostgreSQL {version} on x86_64-pc-linux-gnu",
        "server_version_num": int(float(version) * 10000 // 10000) * 10000 + int(version.split(".")[1]),
        "postmaster_start_time": "2025-09-01 04:00:00+00",
        "in_recovery": False,
        "data_checksums": "on",
        "shared_buffers": "8GB" if is_busy else "1GB",
        "max_connections": 200,
        "track_io_timing": "on",
        "track_activities": "on",
        "compute_query_id": "auto",
        "pg_stat_statements_max": "10000",
        "pg_stat_statements_track": "top",
        "blocking_application_name": "settlement-worker",
    }
    made_up = {"text": "", "boolean": "false", "timestamptz": "2025-09-01 04:00:00+00"}
    return {c.name: known[c.name] if c.name in known else made_up.get(c.type.name, "1") for c in metric.infos}


# Of one series of size 1: a counter's growth a second under full load, a gauge's level (and whether it follows load).
_A_SECOND = {
    "xact_commit": 900.0, "xact_rollback": 4.0, "blks_read": 250.0, "blks_hit": 42000.0, "tup_returned": 60000.0,
    "tup_fetched": 21000.0, "tup_inserted": 320.0, "tup_updated": 410.0, "tup_deleted": 25.0, "conflicts": 0.0,
    "temp_files": 0.02, "temp_bytes": 160000.0, "deadlocks": 0.0002, "checksum_failures": 0.0, "blk_read_time": 60.0,
    "blk_write_time": 3.0, "session_time": 60000.0, "active_time": 2200.0, "idle_in_transaction_time": 400.0,
    "sessions": 1.5, "sessions_abandoned": 0.003, "sessions_fatal": 0.0005, "sessions_killed": 0.0,
    "parallel_workers_to_launch": 0.2, "parallel_workers_launched": 0.19, "dealloc": 0.0,
}  # fmt: skip
_LEVEL = {
    "up": (1.0, False), "max_connections": (200.0, False), "superuser_reserved_connections": (3.0, False),
    "reserved_connections": (0.0, False), "client_backends": (120.0, True), "numbackends": (70.0, True),
    "size_bytes": (400e9, False), "oldest_transaction_seconds": (4.0, True), "oldest_query_seconds": (2.0, True),
    "oldest_idle_in_transaction_seconds": (0.8, True), "longest_wait_seconds": (3.0, True),
}  # fmt: skip


def value_of(column: str, kind: Kind) -> tuple[float, bool]:
    """A counter's growth a second, or a gauge's level; and whether it follows the load."""
    if kind is Kind.COUNTER:
        return _A_SECOND.get(column, 1.0), True
    if column in ("connections", "locks", "blocked_sessions"):
        return 1.0, True
    return _LEVEL.get(column, (10.0, True))
