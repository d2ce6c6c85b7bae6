"""Statement texts: which are wanted, and how they are stored, each once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import psycopg

from sbpgmon.model import StatementText
from sbpgmon.store.schema import SCHEMA


def wanted_texts(conn: psycopg.Connection[Any], target: str) -> tuple[datetime | None, list[int]]:
    """When texts were last read on the target, and the queryids that have none yet."""
    row = conn.execute(
        f"SELECT target_id, texts_read_at FROM {SCHEMA}.target WHERE name = %s".encode(), (target,)
    ).fetchone()
    if row is None:
        return None, []
    rows = conn.execute(
        f"SELECT DISTINCT s.queryid FROM {SCHEMA}.stat_statements_last AS s WHERE s.target_id = %s "
        f"AND NOT EXISTS (SELECT FROM {SCHEMA}.statement_text_of AS o WHERE o.series_id = s.series_id)".encode(),
        (row[0],),
    )
    return row[1], [queryid for (queryid,) in rows]


def write_texts(
    conn: psycopg.Connection[Any], target_id: int, texts: Iterable[StatementText], *, are_all: bool
) -> None:
    """Stores texts that were read; each text once, each series once. Until they are all, more are wanted at once."""
    if are_all:
        conn.execute(
            f"UPDATE {SCHEMA}.target SET texts_read_at = clock_timestamp() WHERE target_id = %s".encode(), (target_id,)
        )
    rows = [(t.dbid, t.userid, t.queryid, t.toplevel, t.query.replace("\x00", "")) for t in texts]
    if not rows:
        return
    columns = [list(column) for column in zip(*rows, strict=True)]
    read = (
        "unnest(%(dbid)s::oid[], %(userid)s::oid[], %(queryid)s::bigint[], %(toplevel)s::boolean[], %(query)s::text[]) "
        "AS r (dbid, userid, queryid, toplevel, query)"
    )
    params: dict[str, Any] = dict(zip(("dbid", "userid", "queryid", "toplevel", "query"), columns, strict=True))
    params["target_id"] = target_id
    conn.execute(
        f"INSERT INTO {SCHEMA}.statement_text (text_hash, query) "
        f"SELECT DISTINCT md5(r.query)::uuid, r.query FROM {read} WHERE NOT EXISTS "
        f"(SELECT FROM {SCHEMA}.statement_text AS t WHERE t.text_hash = md5(r.query)::uuid)".encode(),
        params,
    )
    conn.execute(
        f"INSERT INTO {SCHEMA}.statement_text_of (series_id, target_id, text_id) "
        f"SELECT DISTINCT ON (s.series_id) s.series_id, s.target_id, t.text_id FROM {read} "
        f"JOIN {SCHEMA}.stat_statements_last AS s ON s.target_id = %(target_id)s AND s.dbid = r.dbid "
        "AND s.userid = r.userid AND s.queryid = r.queryid AND s.toplevel = r.toplevel "
        f"JOIN {SCHEMA}.statement_text AS t ON t.text_hash = md5(r.query)::uuid "
        f"WHERE NOT EXISTS (SELECT FROM {SCHEMA}.statement_text_of AS o WHERE o.series_id = s.series_id) "
        "ORDER BY s.series_id".encode(),
        params,
    )
