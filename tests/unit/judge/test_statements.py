"""The labelled statements: every verdict exact, and no text that is not bound called anything better."""

from __future__ import annotations

import json
from pathlib import Path

from sbpgmon.judge.statement import Verdict, judge
from tests.unit.judge.schema import FACTS

STATEMENTS = [json.loads(line) for line in (Path(__file__).parent / "statements.jsonl").read_text().splitlines()]
_BOUND = (Verdict.SCOPED, Verdict.DERIVED, Verdict.POINT)


def test_nothing_unscoped_is_called_bound() -> None:
    """The error that would hide a leak."""
    wrong = [
        (each["sql"], found.verdict)
        for each in STATEMENTS
        if each["verdict"] == "unscoped" and (found := judge(each["sql"], FACTS)).verdict in _BOUND
    ]
    assert wrong == []


def test_verdicts_are_exact() -> None:
    """The verdict, and the table that decided it where one is given."""
    wrong = [
        f"{found.verdict} {found.table!r} instead of {each['verdict']} {each['table']!r} ({each['why']}): {each['sql']}"
        for each in STATEMENTS
        if (found := judge(each["sql"], FACTS)).verdict != each["verdict"]
        or found.table != (found.table if each["table"] is None else each["table"])
    ]
    assert "\n".join(wrong) == ""


def test_there_are_enough_of_each() -> None:
    """At least 200 texts; no verdict and no family is a handful."""
    assert len(STATEMENTS) >= 200
    verdicts = [each["verdict"] for each in STATEMENTS]
    assert all(verdicts.count(verdict) >= 30 for verdict in ("scoped", "derived", "unscoped"))
    assert verdicts.count("point") >= 20
