"""The statements of a fleet: texts as pg_stat_statements has them, and those that are out of the ordinary."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

Spans = tuple[tuple[datetime, datetime | None], ...]  # from, up to; None: without end

TABLES = (
    "bets", "bet_legs", "markets", "market_outcomes", "events", "event_results", "odds_history", "wallets",
    "wallet_entries", "customers", "customer_limits", "sessions", "bonuses", "bonus_grants", "deposits",
    "withdrawals", "settlements", "settlement_batches", "grain_storage", "grain_reminders", "outbox", "audit_log",
    "risk_scores", "promotions", "price_feeds", "feed_messages", "tenants", "tenant_settings", "kyc_documents",
    "fx_rates",
)  # fmt: skip
SHARED = ("markets", "market_outcomes", "events", "event_results", "price_feeds", "feed_messages", "fx_rates")
COLUMNS = (
    "id", "tenant_id", "customer_id", "event_id", "market_id", "status", "stake_amount", "currency", "placed_at",
    "settled_at", "payout_amount", "price", "version", "payload", "created_at", "updated_at", "channel", "reason",
)  # fmt: skip
_OTHERS = tuple(column for column in COLUMNS if column not in ("id", "tenant_id"))
# OID of a role is 10 + 16374 * its place; statements of the application's two, and of a third that nobody has named.
ROLES = ("app_writer", "app_reader", "bi_reader", "migrator", "postgres", "orleans", "sbpgmon_reader")
WRITER, READER, REPORTS = range(3)
# Of a thousand texts of a role: found by the key of the row alone; bound to no tenant; not to be parsed.
_SLIPS = {WRITER: (25, 0, 4), READER: (10, 150, 4), REPORTS: (20, 60, 4)}
_LEAK = "SELECT id, customer_id, stake_amount, status FROM bets WHERE placed_at > $1 ORDER BY placed_at DESC LIMIT $2"
_SESSION = "SET app.tenant_id = $1"


def oid_of(place: int) -> int:
    """OID of a role, by its place in ROLES."""
    return 10 + 16374 * place


def statement_texts(count: int, seed: int) -> list[str]:
    """Distinct normalized statements, hot and rare ones mixed; the role of a text is its number (from 1), modulo 3.

    Nearly all of them are bound to one tenant.
    """
    dice = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[statement(dice, (len(found) + 1) % 3)] = None
    return list(found)


def statement(dice: random.Random, role: int) -> str:
    """One text, as that role would run it."""
    table, other = dice.sample(TABLES, 2)
    columns = dice.sample(_OTHERS, dice.randint(2, 9))
    listed = ", ".join(columns)
    by_key, unbound, odd = _SLIPS[role]
    slip = dice.randrange(1000)
    keys = [*dice.sample(_OTHERS, 2), "tenant_id"]
    if slip < by_key:
        return f"SELECT {listed} FROM {table} WHERE id = $1"
    if slip < by_key + unbound:
        keys = dice.sample(_OTHERS, 3)
    where = " AND ".join(f"{column} = ${place}" for place, column in enumerate(reversed(keys), start=1))
    if slip >= 1000 - odd:
        return f"SELECT {listed} FROM {table} WHERE {where} ORDER BY {columns[0]} USING OPERATOR(pg_catalog.<)"
    # Nobody writes past the key.
    kind = dice.randrange(7 if role != WRITER or "tenant_id" not in keys else 10)
    if kind in (4, 5) and "tenant_id" in keys:
        joined = ", ".join(f"a.{column}" for column in columns)
        return (
            f"SELECT {joined}, b.{columns[-1]} FROM {table} AS a JOIN {other} AS b ON b.{table}_id = a.id "
            f"AND b.tenant_id = a.tenant_id WHERE a.tenant_id = $1 AND b.{columns[0]} > $2"
        )
    if kind < 6:
        return f"SELECT {listed} FROM {table} WHERE {where} ORDER BY {columns[0]} DESC LIMIT $4"
    if kind == 6:
        return f"SELECT count(*), sum({columns[0]}) FROM {table} WHERE {where} GROUP BY {listed}"
    if kind == 7:
        values = ", ".join(f"${place}" for place in range(1, len(columns) + 2))
        return f"INSERT INTO {table} (tenant_id, {listed}) VALUES ({values}) ON CONFLICT (id) DO NOTHING"
    if kind == 8:
        sets = ", ".join(f"{column} = ${place}" for place, column in enumerate(columns, start=4))
        return f"UPDATE {table} SET {sets} WHERE {where}"
    return f"DELETE FROM {table} WHERE {where} AND {columns[0]} < $4"


@dataclass(frozen=True, slots=True)
class Special:
    """A statement with a life of its own: of a rate of its own, there at times only, or slow at times."""

    text: str
    userid: int
    rate: float = 1.0  # calls a minute
    ms: float = 1.0  # of a call
    is_steady: bool = False  # whatever the load
    only: Spans = ()  # empty: always
    slow: Spans = ()


def leak_spans(until: datetime) -> Spans:
    """When the application forgot the tenant: long ago, last month, and a few hours ago."""
    hour = until.replace(minute=0, second=0)
    days, hours = (200, 26), (timedelta(hours=-5), timedelta(hours=-4))
    old = [(hour - timedelta(days=n), hour - timedelta(days=n) + timedelta(hours=n // 6)) for n in days]
    return (*old, (hour + hours[0], hour + hours[1]))


def specials(place: int, count: int, own: Sequence[tuple[str, float]], until: datetime, seed: int) -> list[Special]:
    """Those of the busy target at that place, of `count` busy ones. `own`: the agent's metrics, with their intervals.

    The agent's own statements; a few that came with the last releases; on one target a burst past the tenants' key, on
    another the context set for the session.
    """
    dice = random.Random(seed * 1000 + place)
    reader = oid_of(ROLES.index("sbpgmon_reader"))
    found = [
        Special(
            f"COPY (/* sbpgmon:{name} */ SELECT $1) TO STDOUT (FORMAT binary)",
            reader,
            60 / seconds,
            22.0 if name.startswith("stat_statements") else 0.4 + 3 * dice.random(),
            is_steady=True,
        )
        for name, seconds in own
    ]
    for name, rate, ms in (("begin", 4.0, 0.03), ("probe", 4.0, 0.2), ("texts", 0.2, 30.0)):
        found.append(Special(f"SELECT /* sbpgmon:{name} */ $1", reader, rate, ms, is_steady=True))
    for hours in (2, 20, 75):
        begin = (until - timedelta(hours=hours)).replace(minute=0, second=0)
        role = dice.randrange(2)
        text = f"/* release {place}.{hours} */ {statement(dice, role)}"
        found.append(Special(text, oid_of(role), dice.uniform(5, 60), dice.uniform(2, 90), only=((begin, None),)))
    # Some of each kind that is not as it should be, whatever the dice say of the others.
    slips = (
        (f"SELECT status, payout_amount FROM settlements WHERE id = $1 /* {place} */", WRITER, 2.5 / (place + 1)),
        (f"SELECT count(*), sum(payout_amount) FROM settlements WHERE settled_at > $1 /* {place} */", REPORTS, 0.1),
        (
            f"SELECT id FROM outbox WHERE tenant_id = $1 ORDER BY id USING OPERATOR(pg_catalog.<) /* {place} */",
            WRITER,
            0.5,
        ),
    )
    found += [Special(text, oid_of(role), rate, dice.uniform(0.1, 9)) for text, role, rate in slips]
    if place == min(1, count - 1):
        found.append(Special(_LEAK, oid_of(WRITER), 4.0, 35.0, only=leak_spans(until)))
    if place == min(2, count - 1):
        found.append(Special(_SESSION, oid_of(READER), 2.0, 0.01))
    return found


def slow_spans(until: datetime) -> list[Spans]:
    """When statements that run all day took much longer than before: one for each of some hot ones."""
    hour = until.replace(minute=0, second=0)
    return [
        ((hour - timedelta(hours=3), None),),
        ((hour - timedelta(hours=40), None),),
        ((hour - timedelta(days=9), hour - timedelta(days=6)), (hour - timedelta(days=90), hour - timedelta(days=80))),
    ]
