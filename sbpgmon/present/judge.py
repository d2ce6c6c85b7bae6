"""Statements to be judged, as they are given, and what the judge says of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sbpgmon.errors import ConfigError
from sbpgmon.judge.statement import Judgement, Verdict

_WAY_OUT = 'Write one statement a line: {"sql": "SELECT …", "user": "app"}; the user may be left out.'


@dataclass(frozen=True, slots=True)
class Statement:
    """A text, and who runs it; None: nobody in particular, whom no policy binds."""

    sql: str
    user: str | None = None


def parse_lines(lines: Iterable[bytes], user: str | None = None) -> list[Statement]:
    """Statements out of lines of JSON; `user` for those that name none. Empty lines are passed over.

    Raises ConfigError, with the line's number, for the first that is none.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if text.strip():
            found.append(_parse(text, number, user))
    return found


def _parse(line: bytes, number: int, user: str | None) -> Statement:
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise ConfigError(f"Line {number}: not UTF-8.", _WAY_OUT) from None
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} in column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise ConfigError(f"Line {number}: no JSON: {reason}.", _WAY_OUT) from None
    if not isinstance(value, dict) or not isinstance(value.get("sql"), str):
        raise ConfigError(f'Line {number}: no object with a text "sql".', _WAY_OUT)
    named = value.get("user")
    if named is not None and not isinstance(named, str):
        raise ConfigError(f'Line {number}: "user" is no text.', _WAY_OUT)
    return Statement(value["sql"], named or user)


def as_row(statement: Statement, judgement: Judgement) -> dict[str, Any]:
    """A judgement as JSON has it."""
    return {
        "sql": statement.sql,
        "verdict": judgement.verdict.value,
        "table": judgement.table,
        "reason": judgement.reason,
    }


def summary(judgements: Sequence[Judgement]) -> str:
    """How many there are of each verdict: `5 statements: 1 unscoped, 4 scoped`."""
    counts = Counter(judgement.verdict for judgement in judgements)
    order = (Verdict.UNSCOPED, Verdict.UNPARSED, Verdict.POINT, *Verdict)
    parts = [f"{counts[verdict]} {verdict.replace('_', ' ')}" for verdict in dict.fromkeys(order) if counts[verdict]]
    what = "statement" if len(judgements) == 1 else "statements"
    return f"{len(judgements)} {what}: {', '.join(parts)}"
