"""Statement texts: fetched for statements that have none, with the literals of utility statements taken out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sbpgmon.identifiers import quote
from sbpgmon.model import Server, StatementText
from sbpgmon.sources.session import Session

MAX_BYTES = 1024 * 1024  # of texts in one poll; the rest comes with the next
MAX_STATEMENTS = 1000
_TIMEOUT_SECONDS = 30.0

# Statements whose constants PostgreSQL replaces by $1, $2, …; all others are utility statements.
_NORMALIZED = frozenset({"select", "insert", "update", "delete", "merge", "with", "values", "table"})
# Each token is matched by itself and in one way only, so no text takes long, whatever an application sends.
# (Possessive quantifiers would say so, but Python 3.11.2 gets them wrong.)
_COMMENT = r"--[^\r\n]* | /\*[^*/]*(?:(?:\*(?!/)|/(?!\*))[^*/]*)*\*/"
_SKIPPED = re.compile(rf"[\s(]+ | {_COMMENT}", re.VERBOSE)
_WORD = re.compile(r"[a-z]+", re.IGNORECASE)
# SELECT INTO is CREATE TABLE AS, a utility statement.
_SELECT_INTO = re.compile(r"(?<!insert\s)(?<!merge\s)\binto\b", re.IGNORECASE)
_PARAMETER = re.compile(r"\$\d")
# Where a string ends hangs on standard_conforming_strings if it holds \', and a comment may hold another one:
# all that follows such a thing goes with it.
_TOKEN = re.compile(
    rf"""
      (?P<literal>
        [eE]'[^'\\]*(?:(?:''|\\.)[^'\\]*)*(?:'|\\?\Z)
      | (?:[bBxXnN]|[uU]&)?'[^'\\]*(?:(?:''|\\[^'])[^'\\]*)*(?:'|\Z|\\.*)
      | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)
      | \d+(?:\.\d*)?(?:[eE][+-]?\d+)?\w*
      | \.\d+(?:[eE][+-]?\d+)?\w*
      )
    | (?P<keep> "[^"]*(?:""[^"]*)*" | \$\d+ | [^\W\d][\w$]* | {_COMMENT} )
    | (?P<rest> (?:"|/\*).* )
    """,
    re.VERBOSE | re.DOTALL,
)


def scrub(query: str) -> str:
    """The statement with every literal replaced by '?' if PostgreSQL left constants in it.

    A utility statement keeps them: `ALTER ROLE … PASSWORD 'secret'`. Any other has $1, $2, … in their place, but
    for one that was evicted between its planning and its end, which is entered as it was written. Numbers beside
    parameters are none of an application's values: ORDER BY 1, numeric(10, 2).
    """
    word = _first_word(query)
    is_normalized = word in _NORMALIZED and (word in ("insert", "merge") or not _SELECT_INTO.search(query))

    def replace(token: re.Match[str]) -> str:
        is_kept = token["keep"] is not None
        if is_normalized and not is_kept:
            is_number = token[0][0] in ".0123456789"
            is_kept = token["rest"] is not None or (is_number and _PARAMETER.search(query) is not None)
        return token[0] if is_kept else "?"

    return _TOKEN.sub(replace, query)


def _first_word(query: str) -> str:
    position = 0
    while skipped := _SKIPPED.match(query, position):
        position = skipped.end()
    word = _WORD.match(query, position)
    return word[0].lower() if word else ""


def read_texts(session: Session, server: Server, queryids: Sequence[int]) -> tuple[list[StatementText], bool]:
    """The texts of these statements, and whether these are all: a poll takes MAX_STATEMENTS and MAX_BYTES of them.

    Raises TargetError.
    """
    schema, _ = server.extensions["pg_stat_statements"]
    quoted = quote(schema)
    listed = ",".join(str(int(queryid)) for queryid in queryids[:MAX_STATEMENTS])
    # As bytes: a SQL_ASCII database may hold what no encoding can read.
    encoding = "SQL_ASCII" if server.encoding == "SQL_ASCII" else "UTF8"
    sql = (
        f"SELECT /* sbpgmon:texts */ dbid::bigint, userid::bigint, queryid, toplevel, convert_to(query, '{encoding}') "
        f"FROM {quoted}.pg_stat_statements(true) "
        f"WHERE queryid = ANY ('{{{listed}}}'::bigint[]) AND query IS NOT NULL"
    )
    texts: list[StatementText] = []
    size = 0
    with session.transaction(_TIMEOUT_SECONDS) as (cursor, _):
        for dbid, userid, queryid, toplevel, raw in cursor.stream(sql.encode()):
            size += len(raw)
            if size <= MAX_BYTES or not texts:
                text = scrub(bytes(raw).decode("utf-8", "replace"))
                texts.append(StatementText(dbid, userid, queryid, toplevel, text))
    return texts, len(queryids) <= MAX_STATEMENTS and size <= MAX_BYTES
