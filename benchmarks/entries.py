"""What a history consists of apart from facts: targets, series, attributes, texts, last counters, states."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg

from benchmarks import incidents
from benchmarks.fleet import QUIET_SECONDS, STATEMENTS, Shape, infos_of, is_polled, series_of, target_names
from benchmarks.incidents import Outage
from benchmarks.statements import Spans, slow_spans, specials, statement_texts
from sbpgmon.model import Metric
from sbpgmon.store.ddl import names_of, quote
from sbpgmon.store.schema import SCHEMA

_VERSIONS = ("18.1", "17.6", "16.10", "15.14", "18.0")
MADE_OF_STATEMENTS = ("statement_totals", "tenant_queries")
_FAILING = ("stat_statements", "database_size", "tenant_activity", "locks")  # metrics that time out now and then


_Held = tuple[datetime, dict[str, Any]]  # from when on, and what: attributes


@dataclass(slots=True)
class Entries:
    """Rows of the workers' temporary tables, by table; and what was entered for whom."""

    targets: list[tuple[int, str]] = field(default_factory=list)  # target_id, name; the busy ones first
    outages: list[Outage] = field(default_factory=list)
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    def add(self, table: str, *row: Any) -> None:
        self.rows.setdefault(table, []).append(row)


def enter_fleet(
    conn: psycopg.Connection[Any], shape: Shape, metrics: Mapping[int, Metric], start: datetime, until: datetime
) -> Entries:
    """Enters targets, series, attributes and texts; says what each target is polled for, and when it was not."""
    found = Entries()
    dice = random.Random(shape.seed)
    _enter_texts(conn, statement_texts(shape.statements, shape.seed))
    ids = {metric.name: metric_id for metric_id, metric in metrics.items()}
    failing = [name for name in _FAILING if name in ids]
    found.outages = incidents.outages(shape.targets, shape.busy, start, until, shape.seed, failing)
    for place, name in enumerate(target_names(shape.targets)):
        is_busy = place < shape.busy
        version = _VERSIONS[place % len(_VERSIONS)]
        target_id = _one(
            conn,
            f"INSERT INTO {SCHEMA}.target (name, system_identifier, database, server_version, first_seen, "
            "texts_read_at) VALUES (%s, %s, %s, %s, %s, %s) RETURNING target_id",
            (name, 7 * 10**18 + dice.getrandbits(58), name.replace("-", "_"), version, start, until),
        )
        found.targets.append((target_id, name))
        _enter_incidents(conn, found, place, shape.busy, target_id, ids)
        for metric_id, metric in metrics.items():
            if not is_polled(metric, place, shape.busy):
                continue
            # Each metric has a moment of its own within the slot; what is made of another one has that one's.
            shift = timedelta(milliseconds=200 + target_id * 37 % 9000 + ids.get(metric.source, metric_id) * 4)
            interval = round(metric.interval_seconds)
            seconds = interval if is_busy else max(interval, QUIET_SECONDS)
            if metric.name == STATEMENTS:
                own = [
                    (m.name, m.interval_seconds)
                    for m in metrics.values()
                    if m.source == "" and m.interval_seconds <= 60
                ]
                count = _enter_statements(conn, metric, target_id, shape, start)
                count += _enter_specials(conn, found, metric, target_id, place, shape, own, until)
            else:
                count = 0
                for series in series_of(metric, place, shape, name, start, until):
                    series_id = _enter_series(conn, metric, target_id, series.keys, series.since or start)
                    found.add(
                        "series", metric_id, series_id, target_id, series.size, series.presence, series.skew,
                        series.since, _ranges(series.surge), seconds, shift,
                    )  # fmt: skip
                    if metric.infos:
                        infos = infos_of(metric, series.keys, is_busy=is_busy, name=name, version=version)
                        held = [(series.since or start, infos)]
                        if metric.name == "server":
                            held = _started(held, incidents.restarts(found.outages, place))
                        _enter_attributes(conn, metric, series_id, target_id, held)
                    count += 1
            found.add("polled", metric_id, target_id, seconds, shift, count)
    return found


def _enter_incidents(
    conn: psycopg.Connection[Any], found: Entries, place: int, busy: int, target_id: int, ids: Mapping[str, int]
) -> None:
    for outage in found.outages:
        if outage.place == place:
            # What is made of the statements fails with them.
            metrics = [outage.metric, *(MADE_OF_STATEMENTS if outage.metric == STATEMENTS else ())]
            for name in metrics:
                if not name or name in ids:
                    found.add(
                        "outage", target_id, ids.get(name), outage.first, outage.until, outage.status, outage.error
                    )
    for ts, kind, detail in incidents.events(found.outages, place, busy):
        conn.execute(
            f"INSERT INTO {SCHEMA}.event (ts, target_id, kind, detail) VALUES (%s, %s, %s, %s)".encode(),
            (ts, target_id, kind, detail),
        )


def _ranges(spans: Spans) -> str | None:
    """A tstzmultirange, as text."""
    listed = (f"[{begin.isoformat()},{'' if end is None else end.isoformat()})" for begin, end in spans)
    return f"{{{','.join(listed)}}}" if spans else None


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
    params = {"target": target_id, "start": start, "seed": shape.seed, "count": shape.statements}
    conn.execute(
        f"INSERT INTO {names_of(metric).series} (target_id, dbid, userid, queryid, toplevel, first_seen) "
        "SELECT %(target)s, 16384, (ARRAY[10 + 0 * 16374, 10 + 1 * 16374, 10 + 2 * 16374])[1 + text_id %% 3], "
        f"hashtextextended(query, %(target)s), text_id %% 23 <> 0, %(start)s FROM {SCHEMA}.statement_text "
        "WHERE text_id <= %(count)s "
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


def _enter_specials(
    conn: psycopg.Connection[Any],
    found: Entries,
    metric: Metric,
    target_id: int,
    place: int,
    shape: Shape,
    own: Sequence[tuple[str, float]],
    until: datetime,
) -> int:
    """Statements out of the ordinary: how many; and some ordinary ones that are slow at times."""
    ordinary = conn.execute(
        f"SELECT series_id FROM {names_of(metric).series} WHERE target_id = %s ORDER BY series_id LIMIT 5".encode(),
        (target_id,),
    ).fetchall()
    for (series_id,), slow in zip(ordinary[1:], slow_spans(until), strict=False):
        found.add("special", series_id, None, None, False, None, _ranges(slow))
    listed = specials(place, shape.busy, own, until, shape.seed)
    for special in listed:
        text_id = _one(
            conn,
            f"INSERT INTO {SCHEMA}.statement_text (text_hash, query) VALUES (md5(%(text)s)::uuid, %(text)s) "
            "ON CONFLICT (text_hash) DO UPDATE SET query = excluded.query RETURNING text_id",
            {"text": special.text},
        )
        series_id = _one(
            conn,
            f"INSERT INTO {names_of(metric).series} (target_id, dbid, userid, queryid, toplevel, first_seen) "
            "VALUES (%s, 16384, %s, hashtextextended(%s, %s), true, %s) RETURNING series_id",
            (target_id, special.userid, special.text, target_id, special.only[0][0] if special.only else until),
        )
        conn.execute(
            f"INSERT INTO {SCHEMA}.statement_text_of (series_id, target_id, text_id) VALUES (%s, %s, %s)".encode(),
            (series_id, target_id, text_id),
        )
        found.add(
            "special", series_id, special.rate, special.ms, special.is_steady, _ranges(special.only),
            _ranges(special.slow),
        )  # fmt: skip
    return len(listed)


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


def _started(held: Sequence[_Held], restarts: Sequence[datetime]) -> list[_Held]:
    """The same with the starts of the server; the last one brought the minor version."""
    found = list(held)
    for at in restarts:
        found.append((at, {**found[-1][1], "postmaster_start_time": at - timedelta(seconds=20)}))
    major, minor = map(int, str(held[0][1]["version"]).split("."))
    if restarts and minor:
        old = {"version": f"{major}.{minor - 1}", "server_version_num": major * 10000 + minor - 1}
        found[:-1] = [(at, {**infos, **old}) for at, infos in found[:-1]]
    return found


def _enter_attributes(
    conn: psycopg.Connection[Any], metric: Metric, series_id: int, target_id: int, held: Sequence[_Held]
) -> None:
    """Each holds up to the next one."""
    types = {column.name: column.type.name for column in metric.infos}
    ends = [*(begin for begin, _ in held[1:]), None]
    for (begin, infos), end in zip(held, ends, strict=True):
        listed = "".join(f", {quote(name)}" for name in infos)
        values = "".join(f", %s::text::{types[name]}" for name in infos)
        conn.execute(
            f"INSERT INTO {names_of(metric).attributes} (series_id, target_id, valid_from, valid_to{listed}) "
            f"VALUES (%s, %s, %s, coalesce(%s, 'infinity'::timestamptz){values})".encode(),
            (series_id, target_id, begin, end, *(None if v is None else str(v) for v in infos.values())),
        )


def enter_states(
    conn: psycopg.Connection[Any], metrics: Mapping[int, Metric], start: datetime, until: datetime
) -> None:
    """Where each metric of each target stands, and its last counters: what the next snapshot is compared with."""
    conn.execute(
        f"INSERT INTO {SCHEMA}.metric_state (target_id, metric_id, last_slot, last_ts, last_agent_time, last_status, "
        "last_error, snapshot_id, snapshot_ts, snapshot_target_time, snapshot_agent_time, snapshot_rows, "
        "snapshot_duration_seconds, postmaster_start_time, system_identifier, timeline, is_standby)\n"
        "SELECT DISTINCT ON (l.target_id, l.metric_id) l.target_id, l.metric_id, l.slot, l.ts, l.ts, l.status, "
        "l.error, g.snapshot_id, g.ts, g.ts, g.ts, g.rows, g.duration_seconds, %(start)s, t.system_identifier, 1, "
        f"false\nFROM {SCHEMA}.snapshot_log AS l JOIN {SCHEMA}.target AS t USING (target_id)\n"
        f"LEFT JOIN (SELECT DISTINCT ON (target_id, metric_id) * FROM {SCHEMA}.snapshot_log "
        "WHERE ts > %(until)s - interval '3 hours' AND status = 'ok' ORDER BY target_id, metric_id, ts DESC) AS g\n"
        "ON g.target_id = l.target_id AND g.metric_id = l.metric_id\n"
        "WHERE l.ts > %(until)s - interval '1 hour' ORDER BY l.target_id, l.metric_id, l.ts DESC".encode(),
        {"start": start, "until": until},
    )
    for metric_id, metric in metrics.items():
        if metric.has_deltas:
            key = quote(metric.keys[0].name)
            conn.execute(
                f"INSERT INTO {SCHEMA}.counted_window (target_id, metric_id, name, counted_until) "
                f"SELECT DISTINCT target_id, %s::integer, {key}, %s::timestamptz "
                f"FROM {names_of(metric).series}".encode(),
                (metric_id, until),
            )
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
            f"snapshot_id FROM {SCHEMA}.metric_state WHERE metric_id = %s AND snapshot_id IS NOT NULL".encode(),
            (metric_id,),
        )


def _one(conn: psycopg.Connection[Any], sql: str, params: tuple[Any, ...] | dict[str, Any]) -> int:
    row = conn.execute(sql.encode(), params).fetchone()
    assert row is not None
    return int(row[0])
