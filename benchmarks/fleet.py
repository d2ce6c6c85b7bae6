"""A fleet of a year: which targets there are, what each metric's series are, and what their values look like.

Everything is named and ranked here; how much of it lies in which tier is filling.py's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from benchmarks import tenancies
from benchmarks.statements import ROLES, oid_of
from benchmarks.tenancies import Series
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


def is_polled(metric: Metric, place: int, busy: int) -> bool:
    """Whether a target has this metric: not without pg_stat_statements, nor without tenants."""
    match metric.name:
        case "stat_statements" | "stat_statements_info" | "statement_totals" | "tenant_queries":
            return place < busy
        case "tenant_events":
            return tenancies.counts_events(place, busy)
        case name if name in tenancies.METRICS:
            return tenancies.has_tenants(place, busy)
    return True


def series_of(
    metric: Metric, place: int, shape: Shape, name: str, start: datetime, until: datetime
) -> Iterator[Series]:
    """The series of one target. A metric that is not known here gets some series whose keys are made up."""
    is_busy = place < shape.busy
    databases = _databases(is_busy=is_busy, name=name)
    dice = random.Random(f"{shape.seed} {name}")
    skew, size = dice.lognormvariate(0, 1.1), dice.uniform(0.6, 1.1) if is_busy else dice.uniform(0.4, 2.4)
    match metric.name:
        case "stat_database":
            yield from (Series({"datid": oid}, share * size, skew=skew) for oid, _, share in databases)
        case "database_size":
            yield from (Series({"datid": oid}, share * size) for oid, _, share in databases if oid)
        case "statement_totals":
            # All of them run in the target's own one.
            yield Series({"dbid": databases[-1][0]})
        case "roles":
            yield from (Series({"userid": oid_of(number)}) for number in range(len(ROLES)))
        case "connections":
            yield from _connections(databases, is_busy=is_busy)
        case "connection_slots":
            # One that is nearly full at its busiest hours.
            yield Series({}, (1.35 if place == shape.busy - 1 else size) if is_busy else 0.08 * size)
        case "locks":
            modes = ["AccessShareLock", "RowExclusiveLock", "RowShareLock", "ExclusiveLock"]
            for number, mode in enumerate(modes if is_busy else modes[:2]):
                keys = {"datname": databases[-1][1], "mode": mode, "granted": True}
                yield Series(keys, 6.0 / (number + 1), (1.0 if is_busy else 0.6) / (number + 1) ** 0.5)
        case "blocked_sessions":
            keys = {"datname": databases[-1][1], "blocked_usename": "app_writer", "blocking_usename": "app_writer"}
            if is_busy:
                yield Series(keys | {"blocking_state": "active"}, 1.0, 0.03)
                yield Series(keys | {"blocking_state": "idle in transaction"}, 1.0, 0.005)
        case known if known in tenancies.METRICS:
            yield from tenancies.series_of(known, place, shape.busy, start, until)
        case _ if metric.keys:
            for number in range(1, (6 if is_busy else 3)):
                yield Series({k.name: _made_up(k.type.name, k.name, number) for k in metric.keys}, 1.0 / number)
        case _:
            yield Series({}, 1.0 if is_busy else 0.08)


def _databases(*, is_busy: bool, name: str) -> list[tuple[int, str, float]]:
    """OID, name, size; the last one is the target's own, OID 0 is what all share."""
    own = name.replace("-", "_")
    found = [(0, "(shared)", 0.02), (5, "postgres", 0.01)]
    if is_busy:
        found += [(1, "template1", 0.001), (4, "template0", 0.001)]
        found += [(16400, "orleans", 0.3), (16401, "archive", 0.05), (16402, "staging", 0.1)]
    return [*found, (16384, own, 1.0 if is_busy else 0.05)]


def _connections(databases: Sequence[tuple[int, str, float]], *, is_busy: bool) -> Iterator[Series]:
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
        yield Series(keys, size if is_busy else size / 4, presence)


def _made_up(type_: str, name: str, place: int) -> Any:
    if type_ == "text":
        return f"{name}_{place}"
    return place % 2 == 0 if type_ == "boolean" else place


def infos_of(metric: Metric, keys: Mapping[str, Any], *, is_busy: bool, name: str, version: str) -> dict[str, Any]:
    """The info columns of one series; as text, which the server casts."""
    names = {oid: datname for oid, datname, _ in _databases(is_busy=is_busy, name=name)}
    role = ROLES[(keys["userid"] - 10) // 16374] if metric.name == "roles" else ""
    audited = ("audit_log", "wallet_entries", "settlements")[keys.get("relid", 0) % 3]
    known: dict[str, Any] = {
        "datname": names.get(keys.get("datid", -1)),
        "usename": role,
        "rolsuper": role == "postgres",
        "rolbypassrls": role == "postgres",
        "rolcanlogin": True,
        "version": version,
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
        "pg_stat_statements_track_utility": "on",
        "userid": oid_of(ROLES.index("sbpgmon_reader")),
        "blocking_application_name": "settlement-worker",
        "table_name": f"public.{audited}",
        "audit_table": f"public.{audited}",
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
    "tup_read": 60000.0, "tup_written": 750.0, "scans": 9000.0, "n_tup_ins": 25.0, "n_tup_upd": 2e-5, "n_tup_del": 1e-5,
}  # fmt: skip
_LEVEL = {
    "up": (1.0, False), "max_connections": (200.0, False), "superuser_reserved_connections": (3.0, False),
    "reserved_connections": (0.0, False), "client_backends": (120.0, True), "numbackends": (70.0, True),
    "size_bytes": (400e9, False), "oldest_transaction_seconds": (4.0, True), "oldest_query_seconds": (2.0, True),
    "oldest_idle_in_transaction_seconds": (0.8, True), "longest_wait_seconds": (3.0, True), "tables": (30.0, False),
    "row_count": (9e8, False), "table_bytes": (40e9, False), "sessions": (70.0, True), "active_sessions": (9.0, True),
    "switch_seconds": (0.0006, True),
}  # fmt: skip
# Those of them that grow, to their level at the end of the history.
GROWING = ("size_bytes", "row_count", "table_bytes")
# Counters of which bad targets have more.
SKEWED = ("blks_read", "blk_read_time", "xact_rollback", "deadlocks", "temp_files", "temp_bytes")


def value_of(column: str, kind: Kind) -> tuple[float, bool]:
    """A counter's growth a second, or a gauge's level; and whether it follows the load."""
    if kind is Kind.COUNTER:
        return _A_SECOND.get(column, 1.0), True
    if column in ("connections", "locks", "blocked_sessions"):
        return 1.0, True
    return _LEVEL.get(column, (10.0, True))
