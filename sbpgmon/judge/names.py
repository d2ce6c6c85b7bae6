"""Names of tables as people write them."""

from __future__ import annotations

import re

from sbpgmon.identifiers import quote
from sbpgmon.judge.facts import Relation

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")

# Key words that PostgreSQL does not take as the name of a table (appendix C, "reserved", with or without an
# exception for functions and types).
_RESERVED_WORDS = """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate
    collation column concurrently constraint create cross current_catalog current_date current_role
    current_schema current_time current_timestamp current_user default deferrable desc distinct do else end
    except false fetch for foreign freeze from full grant group having ilike in initially inner intersect into
    is isnull join lateral leading left like limit localtime localtimestamp natural not notnull null offset on
    only or order outer overlaps placing primary references returning right select session_user similar some
    symmetric system_user table tablesample then to trailing true union unique user using variadic verbose when
    where window with
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())


def quoted(name: str) -> str:
    """An identifier, in double quotes where it needs them."""
    if _PLAIN.match(name) and name not in _RESERVED:
        return name
    return quote(name)


def qualified(relation: Relation) -> str:
    """The schema and the name."""
    return f"{quoted(relation.schema)}.{quoted(relation.name)}"
