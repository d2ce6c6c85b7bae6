"""Reads one metric from one target: described once, then binary COPY in a transaction of its own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sbpgmon.catalog.catalog import render_sql
from sbpgmon.errors import QueryFileError
from sbpgmon.model import TYPES, Metric, Server, Variant
from sbpgmon.sources.session import Session

_NAMES = {type_.oid: name for name, type_ in TYPES.items()}


@dataclass(frozen=True, slots=True)
class Description:
    """The query's columns in its own order, and the digest of what was described."""

    digest: str
    columns: tuple[tuple[str, str], ...]  # name, type


def digest_of(variant: Variant, server: Server) -> str:
    """Changes with the SQL, the server's version and its extensions'."""
    place = f"{server.version_num}\n{sorted(server.extensions.items())}\n{render_sql(variant, server)}"
    return hashlib.sha256(place.encode()).hexdigest()[:16]


def describe(session: Session, metric: Metric, variant: Variant, server: Server) -> Description:
    """Holds the query's columns against the header: binary COPY matches by position and would not notice.

    Raises QueryFileError when they differ, TargetError when the server refuses the query.
    """
    with session.transaction(metric.timeout_seconds) as (cursor, _):
        cursor.execute(
            f"SELECT /* sbpgmon:describe */ * FROM (\n{render_sql(variant, server)}\n) AS metric LIMIT 0".encode()
        )
        described = [(column.name, column.type_code) for column in cursor.description or ()]
    problems = []
    returned = dict(described)
    declared = {column.name: column for column in metric.columns}
    if len(returned) < len(described):
        problems.append("the query returns two columns of one name")
    problems += [f"the query does not return {name}" for name in declared if name not in returned]
    problems += [f"the header does not declare {name}" for name in returned if name not in declared]
    for name, oid in described:
        if name in declared and oid != declared[name].type.oid:
            found = _NAMES.get(oid, f"type {oid}")
            wanted = declared[name].type.name
            problems.append(f"{name} is {found}, the header says {wanted}: write {name}::{wanted}")
    if problems:
        raise QueryFileError(f"{variant.path}:1: {'; '.join(problems)}.", "Mend the header or the query.")
    return Description(digest_of(variant, server), tuple((n, _NAMES[oid]) for n, oid in described))


def read(
    session: Session,
    metric: Metric,
    variant: Variant,
    server: Server,
    columns: Sequence[tuple[str, str]],
    *,
    timeout_seconds: float,
    max_bytes: int,
) -> tuple[bytes, int, datetime, float]:
    """Binary COPY bytes, rows, the target's clock at the reading, and seconds that it took.

    Raises TargetError for what the server says; one metric's failure ends one transaction.
    """
    sql = render_sql(variant, server)
    if server.encoding == "SQL_ASCII" and any(type_ == "text" for _, type_ in columns):
        sql = _ascii(sql, columns)
    # The marker stands inside the parentheses: PostgreSQL 18 drops a leading comment from pg_stat_statements.
    query = f"COPY (/* sbpgmon:{metric.name} */ {sql}\n) TO STDOUT (FORMAT binary)"
    began = time.monotonic()
    with session.transaction(timeout_seconds) as (cursor, now):
        data, rows = session.copy_out(cursor, query, max_bytes)
    return data, rows, now, time.monotonic() - began


def _ascii(sql: str, columns: Sequence[tuple[str, str]]) -> str:
    """A SQL_ASCII database checks nothing: bytes that may not be UTF-8 become '?', so that the store takes them."""
    picked = ", ".join(
        f"""regexp_replace("{name}", E'[^\\\\x01-\\\\x7f]', '?', 'g') AS "{name}\""""
        if type_ == "text"
        else f'"{name}"'
        for name, type_ in columns
    )
    return f"SELECT {picked} FROM (\n{sql}\n) AS metric"
