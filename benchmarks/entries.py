"""What a history consists of apart from facts: targets, series, attributes, texts, last counters, states."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from benchmarks.fleet import (
    QUIET_SECONDS,
    STATEMENTS,
    Shape,
    infos_of,
    series_of,
    statement_texts,
    target_names,
)
from sbpgmon.model import Metric
from sbpgmon.store.ddl import names_of, quote
from sbpgmon.store.schema import SCHEMA

_VERSIONS = ("18.1", "18.0", "17.6", "16.10", "15.14")
_OF_STATEMENTS = (STATEMENTS, "stat_statements_info")  # what a target without pg_stat_statements does not have


@dataclass(frozen=True, slots=True)
class Entries:
    """Rows of the workers' temporary tables `polled` and `series`."""

    polled: list[tuple[int, int, int, timedelta, int]]
    series: list[tuple[int, int, int, float, float, int, timedelta]]


def enter_fleet(
    conn: psycopg.Connection[Any], shape: Shape, metrics: Mapping[int, Metric], start: datetime, until: datetime
) -> Entries:
    """Enters targets, series, attributes and texts; says what each target is polled for."""
    found = Entries([], [])
    dice = random.Random(shape.seed)
    _enter_texts(conn, statement_texts(shape.statements, shape.seed))
    for place, name in enumerate(target_names(shape.targets)):
        is_busy = place < shape.busy
        version = _VERSIONS[place % len(_VERSIONS)]
        target_id = _one(
            conn,
            f"INSERT INTO {SCHEMA}.target (name, system_identifier, database, server_version, first_seen, "
            "texts_read_at) VALUES (%s, %s, %s, %s, %s, %s) RETURNING target_id",
            (name, 7 * 10**18 + dice.getrandbits(58), name.replace("-", "_"), version, start, until),
        )
        for metric_id, metric in metrics.items():
            if metric.name in _OF_STATEMENTS and not is_busy:
                continue
            # Each metric has a moment of its own within the slot.
            shift = timedelta(milliseconds=200 + target_id * 37 % 9000 + metric_id * 4)
            interval = round(metric.interval_seconds)
            seconds = interval if is_busy else max(interval, QUIET_SECONDS)
            if metric.name == STATEMENTS:
                count = _enter_statements(conn, metric, target_id, shape, start)
            else:
                count = 0
                for keys, size, presence in series_of(metric, is_busy=is_busy, name=name):
                    series_id = _enter_series(conn, metric, target_id, keys, start)
                    found.series.append((metric_id, series_id, target_id, size, presence, seconds, shift))
                    if metric.infos:
                        infos = infos_of(metric, keys, is_busy=is_busy, name=name, version=version)
                        _enter_attributes(conn, metric, series_id, target_id, infos, start)
                    count += 1
            found.polled.append((metric_id, target_id, seconds, shift, count))
    return found


def _enter_texts(conn: psycopg.Connection[Any], texts: list[str]) -> None:
    conn.execute(
        f"INSERT INTO {SCHEMA}.statement_text (text_hash, query) SELECT md5(q)::uuid, q "
        "FROM unnest(%s::text[]) WITH ORDINALITY AS t (q, place) ORDER BY place".encode(),
        (texts,),
    )


def _enter_statements(
    conn: psycopg.Connection[Any], metric: Metric, target_id: int, shape: Shape, start: datetime
) -> int:
    """The product is the same for every tenant: its statements have the same texts, and other queryids.

    Which of them are hot differs from target to target.
    """
    params = {"target": target_id, "start": start, "seed": shape.seed}
    conn.execute(
        f"INSERT INTO {names_of(metric).series} (target_id, dbid, userid, queryid, toplevel, first_seen) "
        "SELECT %(target)s, 16384, (ARRAY[10 + 0 * 16374, 10 + 1 * 16374, 10 + 2 * 16374])[1 + text_id %% 3], "
        f"hashtextextended(query, %(target)s), text_id %% 23 <> 0, %(start)s FROM {SCHEMA}.statement_text "
        "ORDER BY hashint8extended(text_id, %(target)s * 1000 + %(seed)s)".encode(),
        params,
    )
    return conn.execute(
        f"INSERT INTO {SCHEMA}.statement_text_of (series_id, target_id, text_id) "
        f"SELECT s.series_id, s.target_id, t.text_id FROM {names_of(metric).series} AS s "
        f"JOIN {SCHEMA}.statement_text AS t ON s.queryid = hashtextextended(t.query, %(target)s) "
        "WHERE s.target_id = %(target)s ORDER BY 1".encode(),
        params,
    ).rowcount


def _enter_series(
    conn: psycopg.Connection[Any], metric: Metric, target_id: int, keys: Mapping[str, Any], start: datetime
) -> int:
    listed = "".join(f"{quote(name)}, " for name in keys)
    return _one(
        conn,
        f"INSERT INTO {names_of(metric).series} (target_id, {listed}first_seen) "
        f"VALUES ({', '.join(['%s'] * (len(keys) + 2))}) RETURNING series_id",
        (target_id, *keys.values(), start),
    )


def _enter_attributes(
    conn: psycopg.Connection[Any],
    metric: Metric,
    series_id: int,
    target_id: int,
    infos: Mapping[str, Any],
    start: datetime,
) -> None:
    types = {column.name: column.type.name for column in metric.infos}
    listed = "".join(f", {quote(name)}" for name in infos)
    values = "".join(f", %s::text::{types[name]}" for name in infos)
    conn.execute(
        f"INSERT INTO {names_of(metric).attributes} (series_id, target_id, valid_from{listed}) "
        f"VALUES (%s, %s, %s{values})".encode(),
        (series_id, target_id, start, *(None if v is None else str(v) for v in infos.values())),
    )


def enter_states(
    conn: psycopg.Connection[Any], metrics: Mapping[int, Metric], start: datetime, until: datetime
) -> None:
    """Where each metric of each target stands, and its last counters: what the next snapshot is compared with."""
    conn.execute(
        f"INSERT INTO {SCHEMA}.metric_state (target_id, metric_id, last_slot, last_ts, last_agent_time, last_status, "
        "snapshot_id, snapshot_ts, snapshot_target_time, snapshot_agent_time, snapshot_rows, "
        "snapshot_duration_seconds, postmaster_start_time, system_identifier, timeline, is_standby)\n"
        "SELECT DISTINCT ON (l.target_id, l.metric_id) l.target_id, l.metric_id, l.slot, l.ts, l.ts, l.status, "
        "l.snapshot_id, l.ts, l.ts, l.ts, l.rows, l.duration_seconds, %(start)s, t.system_identifier, 1, false\n"
        f"FROM {SCHEMA}.snapshot_log AS l JOIN {SCHEMA}.target AS t USING (target_id)\n"
        "WHERE l.ts > %(until)s - interval '1 hour' ORDER BY l.target_id, l.metric_id, l.ts DESC".encode(),
        {"start": start, "until": until},
    )
    for metric_id, metric in metrics.items():
        if not metric.has_last:
            continue
        listed = ", ".join(quote(c.name) for c in (*metric.keys, *metric.counters, *metric.resets))
        counters = "".join(f", (1e9 * random())::{c.type.name}" for c in metric.counters)
        resets = "".join(", %(start)s" for _ in metric.resets)
        keys = "".join(f", {quote(c.name)}" for c in metric.keys)
        conn.execute(
            f"INSERT INTO {names_of(metric).last} (series_id, target_id, {listed}) "
            f"SELECT series_id, target_id{keys}{counters}{resets} FROM {names_of(metric).series}".encode(),
            {"start": start},
        )
        conn.execute(
            f"INSERT INTO {SCHEMA}.last_state (target_id, metric_id, snapshot_id) SELECT target_id, metric_id, "
            f"snapshot_id FROM {SCHEMA}.metric_state WHERE metric_id = %s".encode(),
            (metric_id,),
        )


def _one(conn: psycopg.Connection[Any], sql: str, params: tuple[Any, ...]) -> int:
    row = conn.execute(sql.encode(), params).fetchone()
    assert row is not None
    return int(row[0])
