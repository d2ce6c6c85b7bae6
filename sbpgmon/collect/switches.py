"""How long it takes from one tenant to another."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from sbpgmon.collect.login import MARK, become
from sbpgmon.collect.rounds import TIMEOUT_SECONDS, UNLIKE, Table, Trial
from sbpgmon.errors import TargetError

_ROUND_TRIPS = 5


def time_switch(
    trial: Trial, table: Table, switch: Callable[[str], list[tuple[str, tuple[Any, ...]]]], role: str = ""
) -> None:
    """Seconds from one tenant to another until its table can be read: on a fresh connection, and on a warm one.

    Becoming the role, the context and the planning of a query are counted; the round trips of as many statements,
    measured on the same connection, are taken off.
    """
    tenants = list(trial.tenants) or [""]
    query = f"SELECT {MARK} {UNLIKE} FROM {table.object} LIMIT 0".encode()
    try:
        with trial.connected() as session:
            taken = []
            for turn in range(1 + _ROUND_TRIPS):
                with session.transaction(TIMEOUT_SECONDS) as (cursor, _):
                    statements = switch(tenants[turn % len(tenants)])
                    began = time.perf_counter()
                    become(cursor, role or trial.role)
                    for text, values in statements:
                        cursor.execute(text.encode(), values)
                    cursor.execute(query)
                    taken.append((time.perf_counter() - began, 2 + len(statements)))
            with session.transaction(TIMEOUT_SECONDS) as (cursor, _):
                trips = []
                for _ in range(_ROUND_TRIPS):
                    began = time.perf_counter()
                    cursor.execute("SELECT")
                    trips.append(time.perf_counter() - began)
    except TargetError:
        trial.figures |= {"switch_cold_seconds": None, "switch_warm_seconds": None}
        return
    net = [max(0.0, seconds - count * min(trips)) for seconds, count in taken]
    trial.figures |= {"switch_cold_seconds": net[0], "switch_warm_seconds": statistics.median(net[1:])}
