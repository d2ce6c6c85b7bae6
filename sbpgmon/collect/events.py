"""Events in the application's own tables, counted by the user's SQL: each in windows, one after another."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sbpgmon.collect.binary import binary_copy, columns_of
from sbpgmon.collect.due import slot_at
from sbpgmon.collect.plans import denied, refuse_dear
from sbpgmon.errors import QueryFileError, SbpgmonError, TargetError
from sbpgmon.model import Due, Reading, Status, Window
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Event

LONGEST_WINDOW = timedelta(hours=1)
FURTHEST_BACK = timedelta(days=7)  # that is caught up with; what lies before was never counted
MAX_TENANTS = 2000  # of one event in one window; the rest is `other`
_MAX_ROWS = 100_000
_TOO_MANY = 2**53  # of one tenant in one window
# The user's SQL is a subquery, so that it is one SELECT.
_SQL = "SELECT /* sbpgmon:tenant_events */ * FROM (\n{}\n) AS counted LIMIT {}"
_COLUMNS = {"tenant", "count", "attempts"}
# On a standby rows become visible when they are replayed: what has not been replayed is not counted yet.
_NOW = """
select /* sbpgmon:tenant_events */
  case when pg_is_in_recovery() then least(now(), pg_last_xact_replay_timestamp()) else now() end,
  quote_ident(current_user)
"""


@dataclass(frozen=True, slots=True)
class Count:
    """What happened to one tenant in a window; `attempts` is 0 where the SQL does not return it."""

    tenant: str  # empty: of no tenant
    count: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Counted:
    """One event in one window: by tenant, most first."""

    window: Window
    counts: tuple[Count, ...]
    has_attempts: bool


def read_events(session: Session, item: Due, events: Sequence[Event]) -> Reading:
    """All events that are due on a target, each in its next window; `item.counted` says up to where each is stored.

    An event that fails stops no other: it is counted with the next poll, and the reading says why.
    """
    began, agent_time = time.monotonic(), datetime.now(UTC)
    rows: list[tuple[str | int | float | None, ...]] = []
    windows: list[Window] = []
    problems: list[str] = []
    target_time = None
    counted_until = item.counted or {}
    for event in _in_turn(events, counted_until):
        if session.is_broken or session.is_late:
            problems.append(f"{event.name}: not read: the poll was over")
            continue
        try:
            target_time, counted = count_event(session, event, counted_until.get(event.name))
        except SbpgmonError as error:
            problems.append(f"{event.name}: {error}")
            continue
        if counted is not None:
            windows.append(counted.window)
            rows += _rows(event, counted)
    is_failed = bool(problems) and not windows
    data, count = binary_copy(item.metric, [] if is_failed else rows)
    return Reading(
        metric=item.metric.name,
        slot=item.slot,
        target_time=None if is_failed else target_time,
        agent_time=agent_time,
        interval_seconds=item.interval_seconds,
        duration_seconds=time.monotonic() - began,
        status=Status.ERROR if is_failed else Status.OK,
        error=" ".join(problems),
        rows=count,
        data=b"" if is_failed else data,
        columns=() if is_failed else columns_of(item.metric),
        windows=tuple(windows),
    )


def _rows(event: Event, counted: Counted) -> list[tuple[str | int | float | None, ...]]:
    """The metric's rows: that of no tenant is always there, and says how long the window was."""
    seconds = (counted.window.until - counted.window.since).total_seconds()
    rows: list[tuple[str | int | float | None, ...]] = [
        (event.name, item.tenant, item.count, item.attempts, None) for item in counted.counts if item.tenant
    ]
    none = next((item for item in counted.counts if not item.tenant), Count("", 0, 0))
    return [*rows, (event.name, "", none.count, none.attempts, seconds)]


def count_event(
    session: Session, event: Event, after: datetime | None, *, is_due: bool = False
) -> tuple[datetime, Counted | None]:
    """The target's clock, and what happened in the next window; None when it is not due. `after`: up to where it is
    counted; None: it never was, and the window begins an interval ago. `is_due`: whenever it was counted last.

    Raises TargetError for what the server says, and for SQL that is too dear; QueryFileError for other columns.
    """
    with session.transaction(event.timeout) as (cursor, _):
        row = cursor.execute(_NOW).fetchone()
    assert row is not None
    replayed, role = row
    if replayed is None:
        raise TargetError("Nothing was replayed yet.", "Let the agent poll the primary, or wait.")
    now = replayed.astimezone(UTC)
    window = next_window(event, now, after, is_due=is_due)
    if window is None:
        return now, None
    refuse_dear(session, event, _explained(event, window), role)
    sql = _between(event.sql, _literal(window.since), _literal(window.until))
    try:
        with session.transaction(event.timeout) as (cursor, _):
            found = cursor.execute(_SQL.format(sql, _MAX_ROWS + 1).encode()).fetchall()
            names = [column.name for column in cursor.description or ()]
    except TargetError as error:
        raise denied(error, event.sql, role) from None
    except UnicodeError:
        raise TargetError("A tenant's name is not UTF-8.", "Convert it in the SQL.") from None
    return now, Counted(window, _counts(event, names, found), "attempts" in names)


def next_window(event: Event, now: datetime, after: datetime | None, *, is_due: bool) -> Window | None:
    """The next window. One that is due comes once a slot of the event's grid, by the target's clock."""
    end = now - timedelta(seconds=event.lag)
    if after is None:
        return Window(event.name, end - timedelta(seconds=event.interval), end)
    since = max(after, end - FURTHEST_BACK)
    if end <= since:
        return None
    last = after + timedelta(seconds=event.lag)
    is_due = is_due or slot_at(now.timestamp(), event.interval) > slot_at(last.timestamp(), event.interval)
    return Window(event.name, since, min(end, since + LONGEST_WINDOW), after) if is_due else None


def _literal(time_: datetime) -> str:
    return f"'{time_.isoformat()}'::timestamptz"


def _between(sql: str, since: str, until: str) -> str:
    """The SQL with its `:from` and `:to` replaced; `::` is a cast."""
    return re.sub(r"(?<!:):(from|to)\b", lambda match: since if match[1] == "from" else until, sql)


def _explained(event: Event, window: Window) -> str:
    """The same SQL for EXPLAIN: as long a window, rounded up, whose text is not another one each time."""
    steps, seconds = 1, (window.until - window.since).total_seconds()
    while steps * event.interval < seconds:
        steps *= 2
    since = f"(now() - '{event.lag + steps * event.interval:g} s'::interval)"
    return _SQL.format(_between(event.sql, since, f"(now() - '{event.lag:g} s'::interval)"), _MAX_ROWS + 1)


def _counts(event: Event, names: Sequence[str], found: Sequence[Sequence[Any]]) -> tuple[Count, ...]:
    way_out = f"[[tenancy.events]] {event.name}: its SQL returns tenant and count, and attempts where it has them."
    if missing := sorted({"tenant", "count"}.difference(names)):
        raise QueryFileError(f"The SQL does not return {', '.join(missing)}.", way_out)
    if more := sorted(set(names) - _COLUMNS):
        raise QueryFileError(f"The SQL returns {', '.join(more)}.", way_out)
    if len(found) > _MAX_ROWS:
        raise QueryFileError(f"The SQL returns more than {_MAX_ROWS} rows.", "Group by the tenant.")
    sums: dict[str, list[int]] = {}
    for row in found:
        values = dict(zip(names, row, strict=True))
        tenant = "" if values["tenant"] is None else str(values["tenant"])
        both = sums.setdefault(tenant, [0, 0])
        for place, name in enumerate(("count", "attempts")):
            both[place] += _number(name, values.get(name), way_out)
    ordered = sorted(sums.items(), key=lambda pair: (-pair[1][0], pair[0]))
    counts = [Count(tenant, *both) for tenant, both in ordered]
    kept, rest = counts[:MAX_TENANTS], counts[MAX_TENANTS:]
    if rest:
        other = next((item for item in kept if item.tenant == "other"), Count("other", 0, 0))
        kept = [item for item in kept if item.tenant != "other"]
        of_all = [other, *rest]
        kept.append(Count("other", sum(item.count for item in of_all), sum(item.attempts for item in of_all)))
    return tuple(kept)


def _number(name: str, value: object, way_out: str) -> int:
    if value is None:
        return 0
    if (
        not isinstance(value, int | Decimal)
        or isinstance(value, bool)
        or value != int(value)
        or not 0 <= value < _TOO_MANY
    ):
        raise QueryFileError(f"The SQL returns {value!r} as {name}, which is no count.", way_out)
    return int(value)


def _in_turn(events: Sequence[Event], counted: Mapping[str, datetime]) -> list[Event]:
    """Those that were counted the longest ago come first: a poll that ends early leaves none out for good."""
    return sorted(events, key=lambda event: counted.get(event.name, datetime.min.replace(tzinfo=UTC)))
