"""Where statements stand, in the store: what they are judged by, the verdicts on their texts, and what comes of both.

A fact of stat_statements belongs to the standing whose range, open at its start, holds the fact's time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from sbpgmon.judge.ground import Ground, Judged, Stand, Standing
from sbpgmon.model import Metric
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.tiers import table

STATEMENTS = "stat_statements"
KEPT_SECONDS = 86400.0  # how far back a verdict that comes late moves calls, and how long a finding stays open

_NOTE_CALLS = """
UPDATE {standing} AS v
SET calls = coalesce(v.calls, 0) + f.calls, last_called = greatest(v.last_called, f.ts)
FROM {facts} AS f
WHERE f.ts = %(ts)s AND f.target_id = %(target_id)s AND f.series_id = v.series_id AND f.calls > 0
  AND v.target_id = %(target_id)s AND v.check_name IS NOT NULL AND v.valid_to = 'infinity'::timestamptz
  AND v.valid_from < f.ts
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What was found from one time to another; the ground itself is read where it is needed."""

    seen_from: datetime
    seen_to: datetime
    dbid: int
    structure: str
    is_applied: bool


@dataclass(frozen=True, slots=True)
class Series:
    """A statement of a role, with its text and where it stands; `valid_from` is None while it stands nowhere."""

    series_id: int
    userid: int
    queryid: int
    first_seen: datetime
    text_id: int
    valid_from: datetime | None = None  # datetime.min: from the beginning
    stand: Stand | None = None
    judgement_id: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A statement stands elsewhere from a time on: `old_from` is the range that ends with it, None for none."""

    series_id: int
    old_from: datetime | None
    since: datetime | None  # None: from the beginning
    stand: Stand
    text: tuple[int, str]  # text_id, path


def keep_look(conn: psycopg.Connection[Any], target_id: int, time: datetime, ground: Mapping[str, Any]) -> None:
    """Keeps what a look found: the same as before was seen once more, or it is another one from now on.

    `ground` is Ground.to_json() with `digest` and `structure`; empty: tenancy is not in force any more. A look that is
    older than the last one (out of the spool) is left out.
    """
    if not ground:
        conn.execute(f"DELETE FROM {SCHEMA}.tenancy_look WHERE target_id = %s".encode(), (target_id,))
        return
    row = conn.execute(
        f"SELECT seen_from, seen_to >= %s, digest FROM {SCHEMA}.tenancy_look WHERE target_id = %s "
        "ORDER BY seen_from DESC LIMIT 1".encode(),
        (time, target_id),
    ).fetchone()
    if row is not None and row[1]:
        return
    if row is not None and row[2] == ground["digest"]:
        conn.execute(
            f"UPDATE {SCHEMA}.tenancy_look SET seen_to = %s WHERE target_id = %s AND seen_from = %s".encode(),
            (time, target_id, row[0]),
        )
        return
    conn.execute(
        f"INSERT INTO {SCHEMA}.tenancy_look (target_id, seen_from, seen_to, dbid, digest, structure, ground) "
        "VALUES (%(target_id)s, %(time)s, %(time)s, %(dbid)s, %(digest)s, %(structure)s, %(ground)s)".encode(),
        {
            "target_id": target_id,
            "time": time,
            "dbid": ground["dbid"],
            "digest": ground["digest"],
            "structure": ground["structure"],
            "ground": Jsonb({k: v for k, v in ground.items() if k not in ("digest", "structure")}),
        },
    )
    # The last that all statements stand by is what the next one is compared with.
    conn.execute(
        f"DELETE FROM {SCHEMA}.tenancy_look WHERE target_id = %(target_id)s "
        "AND seen_to < %(time)s - make_interval(secs => %(seconds)s) AND seen_from < "
        f"(SELECT max(seen_from) FROM {SCHEMA}.tenancy_look WHERE target_id = %(target_id)s AND is_applied)".encode(),
        {"target_id": target_id, "time": time, "seconds": KEPT_SECONDS},
    )


def note_calls(conn: psycopg.Connection[Any], target_id: int, statements: Metric, ts: datetime) -> None:
    """Adds a snapshot's calls to the statements that fail a check; of the others nothing is kept."""
    sql = _NOTE_CALLS.format(standing=f"{SCHEMA}.statement_standing", facts=table(statements, statements.tier))
    conn.execute(sql.encode(), {"ts": ts, "target_id": target_id})


def read_looks(conn: psycopg.Connection[Any], target_id: int) -> list[Look]:
    """The looks that are kept, oldest first."""
    rows = conn.execute(
        f"SELECT seen_from, seen_to, dbid, structure, is_applied FROM {SCHEMA}.tenancy_look "
        "WHERE target_id = %s ORDER BY seen_from".encode(),
        (target_id,),
    )
    return [Look(*row) for row in rows]


def read_ground(conn: psycopg.Connection[Any], target_id: int, look: Look) -> Ground:
    row = conn.execute(
        f"SELECT ground FROM {SCHEMA}.tenancy_look WHERE target_id = %s AND seen_from = %s".encode(),
        (target_id, look.seen_from),
    ).fetchone()
    assert row is not None
    return Ground.from_json(row[0])


def read_series(
    conn: psycopg.Connection[Any], target_id: int, dbid: int, now: datetime, *, all_of_them: bool
) -> list[Series]:
    """The statements of a database with a text that stand nowhere yet, unless they are long gone; or all others too."""
    rows = conn.execute(
        f"SELECT s.series_id, s.userid::bigint, s.queryid, s.first_seen, o.text_id, "
        "nullif(v.valid_from, '-infinity'), v.series_id IS NOT NULL, v.verdict, v.check_name, v.allowed, "
        f"v.judgement_id FROM {SCHEMA}.stat_statements_series AS s "
        f"JOIN {SCHEMA}.statement_text_of AS o USING (series_id) "
        f"LEFT JOIN {SCHEMA}.statement_standing AS v ON v.series_id = s.series_id AND v.valid_to = 'infinity' "
        "WHERE s.target_id = %(target_id)s AND s.dbid = %(dbid)s AND CASE WHEN v.series_id IS NULL THEN "
        "s.first_seen > %(now)s - make_interval(secs => %(seconds)s) OR EXISTS "
        f"(SELECT FROM {SCHEMA}.stat_statements_last AS l WHERE l.series_id = s.series_id) ELSE %(all)s END "
        "ORDER BY s.series_id".encode(),
        {"target_id": target_id, "dbid": dbid, "now": now, "seconds": KEPT_SECONDS, "all": all_of_them},
    )
    return [
        Series(
            series_id,
            userid,
            queryid,
            first_seen,
            text_id,
            (valid_from or _beginning(first_seen)) if stands else None,
            Stand(Standing(verdict), check or "", allowed or "") if stands else None,
            judgement_id,
        )
        for (
            series_id, userid, queryid, first_seen, text_id, valid_from, stands, verdict, check, allowed, judgement_id,
        ) in rows
    ]  # fmt: skip


def _beginning(like: datetime) -> datetime:
    return datetime.min.replace(tzinfo=like.tzinfo)


Texts = dict[tuple[int, str], tuple[int, str, Judged]]  # text_id, path -> judgement_id, structure, judgement


def read_judgements(conn: psycopg.Connection[Any], target_id: int, text_ids: Sequence[int]) -> Texts:
    """The judgements that there are on these texts."""
    rows = conn.execute(
        f"SELECT judgement_id, text_id, path, structure, verdict, relation, reason, relations, tenants, "
        f"sets_session_context, tags, is_beyond_rls FROM {SCHEMA}.statement_judgement "
        "WHERE target_id = %s AND text_id = ANY(%s)".encode(),
        (target_id, list(text_ids)),
    )
    return {
        (text_id, path): (
            judgement_id,
            structure,
            Judged(verdict, table_, reason, tuple(tables), tuple(tenants), sets, tuple(tags), beyond),
        )
        for (
            judgement_id, text_id, path, structure, verdict, table_, reason, tables, tenants, sets, tags, beyond,
        ) in rows
    }  # fmt: skip


def write_judgements(
    conn: psycopg.Connection[Any], target_id: int, structure: str, found: Mapping[tuple[int, str], Judged]
) -> dict[tuple[int, str], int]:
    """Stores judgements, in the place of older ones on the same texts; returns their numbers."""
    if not found:
        return {}
    rows = [
        {
            "text_id": text_id,
            "path": path,
            "verdict": judged.verdict,
            "relation": judged.table,
            "reason": judged.reason,
            "relations": list(judged.tables),
            "tenants": list(judged.tenants),
            "tags": [tag.replace("\x00", "") for tag in judged.tags],
            "sets_session_context": judged.sets_session_context,
            "is_beyond_rls": judged.is_beyond_rls,
        }
        for (text_id, path), judged in found.items()
    ]
    columns = "verdict, relation, reason, relations, tenants, tags, sets_session_context, is_beyond_rls"
    read = (
        "jsonb_to_recordset(%(rows)s::jsonb) AS r (text_id integer, path text, verdict text, relation text, "
        "reason text, relations text[], tenants text[], tags text[], sets_session_context boolean, "
        "is_beyond_rls boolean)"
    )
    params = {"target_id": target_id, "structure": structure, "rows": Jsonb(rows)}
    same = "j.target_id = %(target_id)s AND j.text_id = r.text_id AND j.path = r.path"
    picked = ", ".join(f"r.{name}" for name in columns.split(", "))
    done = conn.execute(
        f"UPDATE {SCHEMA}.statement_judgement AS j SET structure = %(structure)s, ({columns}) = ROW({picked}) "
        f"FROM {read} WHERE {same} RETURNING j.text_id, j.path, j.judgement_id".encode(),
        params,
    ).fetchall()
    done += conn.execute(
        f"INSERT INTO {SCHEMA}.statement_judgement (target_id, text_id, path, structure, {columns}) "
        f"SELECT %(target_id)s, r.text_id, r.path, %(structure)s, {picked} FROM {read} "
        f"WHERE NOT EXISTS (SELECT FROM {SCHEMA}.statement_judgement AS j WHERE {same}) "
        "RETURNING text_id, path, judgement_id".encode(),
        params,
    ).fetchall()
    return {(text_id, path): judgement_id for text_id, path, judgement_id in done}


def write_changes(
    conn: psycopg.Connection[Any], target_id: int, changes: Iterable[Change], numbers: Mapping[tuple[int, str], int]
) -> None:
    """Ends the ranges that end, and begins those that begin; a range that is empty by that is gone.

    Of several changes of one statement each continues the one before.
    """
    for batch in _in_order(changes):
        rows = [
            {
                "series_id": change.series_id,
                "old_from": _stamp(change.old_from),
                "since": _stamp(change.since),
                "verdict": change.stand.standing.value,
                "check_name": change.stand.check or None,
                "allowed": change.stand.allowed or None,
                "judgement_id": numbers[change.text],
            }
            for change in batch
        ]
        read = (
            "jsonb_to_recordset(%(rows)s::jsonb) AS r (series_id integer, old_from timestamptz, since timestamptz, "
            "verdict text, check_name text, allowed text, judgement_id integer)"
        )
        params = {"target_id": target_id, "rows": Jsonb(rows)}
        standing = f"{SCHEMA}.statement_standing"
        conn.execute(
            f"DELETE FROM {standing} AS v USING {read} WHERE v.series_id = r.series_id "
            "AND v.valid_to = 'infinity' AND v.valid_from = r.old_from AND r.since <= v.valid_from".encode(),
            params,
        )
        conn.execute(
            f"UPDATE {standing} AS v SET valid_to = r.since FROM {read} WHERE v.series_id = r.series_id "
            "AND v.valid_to = 'infinity' AND v.valid_from = r.old_from".encode(),
            params,
        )
        # Who has been quicker holds.
        conn.execute(
            f"INSERT INTO {standing} (series_id, valid_from, valid_to, target_id, judgement_id, verdict, check_name, "
            "allowed) SELECT r.series_id, r.since, 'infinity', %(target_id)s, r.judgement_id, r.verdict, "
            f"r.check_name, r.allowed FROM {read} WHERE NOT EXISTS (SELECT FROM {standing} AS v "
            "WHERE v.series_id = r.series_id AND v.valid_to = 'infinity')".encode(),
            params,
        )


def _in_order(changes: Iterable[Change]) -> list[list[Change]]:
    """The first changes of all statements, then the second ones, …"""
    batches: list[list[Change]] = []
    count: dict[int, int] = {}
    for change in changes:
        place = count[change.series_id] = count.get(change.series_id, -1) + 1
        if place == len(batches):
            batches.append([])
        batches[place].append(change)
    return batches


def _stamp(time: datetime | None) -> str:
    return "-infinity" if time is None or time.year == 1 else time.isoformat()
