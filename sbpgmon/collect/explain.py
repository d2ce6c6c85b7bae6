"""Plans, as EXPLAIN gives them in JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def plan_of(cursor: Any, sql: str, values: Sequence[str] = (), options: Sequence[str] = ()) -> dict[str, Any]:
    """The top node of a statement's plan. Without values nothing in the text is a placeholder."""
    listed = ", ".join((*options, "FORMAT JSON"))
    row = cursor.execute(f"EXPLAIN ({listed}) {sql}".encode(), values or None).fetchone()
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The node and all below it."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)
