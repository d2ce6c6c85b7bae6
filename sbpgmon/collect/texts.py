"""Statement texts: fetched for statements that have none, with the literals of utility statements taken out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sbpgmon.model import Server, StatementText
from sbpgmon.sources.session import Session

MAX_BYTES = 8 * 1024 * 1024  # of texts in one poll; the rest comes with the next
_TIMEOUT_SECONDS = 30.0

# Statements whose constants PostgreSQL replaces by $1, $2, …; all others are utility statements.
_NORMALIZED = frozenset({"select", "insert", "update", "delete", "merge", "with", "values", "table"})
_FIRST_WORD = re.compile(r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*.*?\*/)*([a-z]+)", re.IGNORECASE | re.DOTALL)
_TOKEN = re.compile(
    r"""
      (?P<keep> "(?:[^"]|"")*" | \$\d+ | [^\W\d]\w*(?:\$\w*)*(?!') | --[^\n]* | /\*.*?\*/ )
    | (?P<literal>
        (?:[eE]|[bB]|[xX]|[nN]|[uU]&)? '(?:[^'\\]|''|\\.)*(?:'|$)
      | \$(?P<tag>\w*)\$ .*? (?:\$(?P=tag)\$|$)
      | \d+(?:\.\d*)?(?:[eE][+-]?\d+)? | \.\d+
      )
    """,
    re.VERBOSE | re.DOTALL,
)


def scrub(query: str) -> str:
    """The statement with every literal replaced by '?' if it is a utility statement, else as it is.

    A utility statement keeps its constants in pg_stat_statements: `ALTER ROLE … PASSWORD 'secret'`.
    """
    match = _FIRST_WORD.match(query)
    if match and match[1].lower() in _NORMALIZED:
        return query
    return _TOKEN.sub(lambda m: m[0] if m["keep"] is not None else "?", query)


def read_texts(session: Session, server: Server, queryids: Sequence[int]) -> list[StatementText]:
    """The texts of these statements, at most MAX_BYTES of them; raises TargetError."""
    schema, _ = server.extensions["pg_stat_statements"]
    quoted = '"' + schema.replace('"', '""') + '"'
    listed = ",".join(str(int(queryid)) for queryid in queryids)
    # As bytes: a SQL_ASCII database may hold what no encoding can read.
    encoding = "SQL_ASCII" if server.encoding == "SQL_ASCII" else "UTF8"
    sql = (
        f"/* sbpgmon:texts */ SELECT dbid::bigint, userid::bigint, queryid, toplevel, convert_to(query, '{encoding}') "
        f"FROM {quoted}.pg_stat_statements(true) "
        f"WHERE queryid = ANY ('{{{listed}}}'::bigint[]) AND query IS NOT NULL"
    )
    texts = []
    size = 0
    with session.transaction(_TIMEOUT_SECONDS) as (cursor, _):
        for dbid, userid, queryid, toplevel, raw in cursor.stream(sql.encode()):
            if size < MAX_BYTES:
                size += len(raw)
                texts.append(
                    StatementText(dbid, userid, queryid, toplevel, scrub(bytes(raw).decode("utf-8", "replace")))
                )
    return texts
