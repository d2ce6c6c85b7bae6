"""What the sportsbook's sessions do, one function an errand: each does one piece of work.

An errand gets a connection in autocommit mode and returns how often each thing happened, by the name of the
field of `Counts`. Only `collide` locks two wallets at once: every deadlock is wanted.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg

from sbpgmon.demo.sportsbook import TENANTS, USERS_PER_TENANT

Connection = psycopg.Connection[Any]

# How the statements begin whose calls the demo counts on both sides, by the field of `Counts`.
COUNTED_STATEMENTS = {
    "bets_placed": "insert into app.bets (",
    "settlements": "update app.bets set status",
    "deposits": "insert into app.ledger (tenant_id, user_id, kind,",
    "reports": "with turnover as (",
}

_SET_TENANT = "select set_config('app.tenant_id', %s, true)"

_PLACE_BET = """
insert into app.bets (tenant_id, user_id, stake_cents, odds) values (%s, %s, %s, %s) returning bet_id"""
_ADD_LEG = """
insert into app.legs (tenant_id, bet_id, leg_no, fixture, selection, odds) values (%s, %s, %s, %s, %s, %s)"""
_BOOK_BET = """
insert into app.ledger (tenant_id, user_id, bet_id, kind, amount_cents) values (%s, %s, %s, %s, %s)"""
_BOOK_DEPOSIT = """
insert into app.ledger (tenant_id, user_id, kind, amount_cents) values (%s, %s, 'deposit', %s)"""
_CHANGE_WALLET = """
update app.wallets set balance_cents = balance_cents + %s, updated_at = now()
where tenant_id = %s and user_id = %s"""
_OLDEST_OPEN_BET = """
select bet_id, user_id, stake_cents, odds from app.bets
where tenant_id = %s and status = 'open'
order by placed_at limit 1 for update skip locked"""
_SETTLE_BET = """
update app.bets set status = %s, settled_at = now(), payout_cents = %s where tenant_id = %s and bet_id = %s"""
_REPORT = """
with turnover as (
    select
        ledger.user_id, date_trunc('day', ledger.booked_at) as day, legs.fixture, legs.selection,
        ledger.amount_cents,
        sum(ledger.amount_cents) over (partition by ledger.user_id order by ledger.booked_at) as running
    from app.ledger
    left join app.bets using (tenant_id, bet_id)
    left join app.legs using (tenant_id, bet_id)
)
select turnover.day, count(distinct other.fixture), sum(turnover.amount_cents), max(other.running)
from turnover
join turnover as other on other.user_id = turnover.user_id
group by turnover.day
order by 3 desc"""


@dataclass(frozen=True)
class World:
    """What an errand needs beside its connection."""

    dsn: str
    stop: threading.Event
    chance: random.Random

    def connect(self) -> Connection:
        return psycopg.connect(self.dsn, autocommit=True, connect_timeout=5)

    def any_tenant(self) -> int:
        return self.chance.randint(1, TENANTS)

    def any_user(self) -> int:
        # The last ten users of a tenant are kept for the errands that fight over wallets.
        return self.chance.randint(1, USERS_PER_TENANT - 10)


Errand = Callable[[Connection, World], Counter[str]]


def place_accumulator(connection: Connection, world: World) -> Counter[str]:
    """A bet of three legs."""
    tenant, user = world.any_tenant(), world.any_user()
    stake = world.chance.randint(100, 5000)
    with connection.transaction():
        connection.execute(_SET_TENANT, [str(tenant)])
        connection.execute(_CHANGE_WALLET, [-stake, tenant, user])
        placed = connection.execute(_PLACE_BET, [tenant, user, stake, 6]).fetchone()
        assert placed is not None
        for leg in (1, 2, 3):
            fixture = f"fixture {world.chance.randint(1, 380)}"
            connection.execute(_ADD_LEG, [tenant, placed[0], leg, fixture, "away", 1.82])
        connection.execute(_BOOK_BET, [tenant, user, placed[0], "stake", -stake])
    return Counter(bets_placed=1)


def settle_bet(connection: Connection, world: World) -> Counter[str]:
    """Settles the oldest open bet of a tenant."""
    tenant = world.any_tenant()
    with connection.transaction():
        connection.execute(_SET_TENANT, [str(tenant)])
        row = connection.execute(_OLDEST_OPEN_BET, [tenant]).fetchone()
        if row is None:
            return Counter()
        bet, user, stake, odds = row
        payout = int(stake * odds) if world.chance.random() < 0.35 else 0
        connection.execute(_SETTLE_BET, ["won" if payout else "lost", payout, tenant, bet])
        if payout:
            connection.execute(_CHANGE_WALLET, [payout, tenant, user])
            connection.execute(_BOOK_BET, [tenant, user, bet, "payout", payout])
    return Counter(settlements=1)


def deposit(connection: Connection, world: World) -> Counter[str]:
    """Money comes into a wallet."""
    tenant, user, cents = world.any_tenant(), world.any_user(), world.chance.randint(500, 20000)
    with connection.transaction():
        connection.execute(_SET_TENANT, [str(tenant)])
        connection.execute(_CHANGE_WALLET, [cents, tenant, user])
        connection.execute(_BOOK_DEPOSIT, [tenant, user, cents])
    return Counter(deposits=1)


def log_in(connection: Connection, world: World) -> Counter[str]:
    """A login, and now and then a line in the audit log."""
    tenant, user = world.any_tenant(), world.any_user()
    with connection.transaction():
        connection.execute(_SET_TENANT, [str(tenant)])
        connection.execute(
            "insert into app.logins (tenant_id, user_id, address, succeeded) values (%s, %s, %s, %s)",
            [tenant, user, f"10.1.{tenant}.{user}", world.chance.random() < 0.9],
        )
        if world.chance.random() < 0.2:
            connection.execute(
                "insert into app.audit_log (tenant_id, actor, action) values (%s, %s, 'review')",
                [tenant, f"operator{user % 12}"],
            )
    return Counter(logins=1)


def run_report(connection: Connection, world: World) -> Counter[str]:
    """A tenant's turnover: slow, and too big for the little memory it gets, so that it spills."""
    tenant = world.any_tenant()
    with connection.transaction():
        connection.execute(_SET_TENANT, [str(tenant)])
        connection.execute("set local work_mem = '64kB'")
        connection.execute(_REPORT).fetchall()
    return Counter(reports=1)


def idle_in_transaction(connection: Connection, world: World) -> Counter[str]:
    """A session that forgets to commit for some seconds."""
    with connection.transaction():
        connection.execute("select count(*) from app.tenants")
        world.stop.wait(6)
    return Counter(idle_transactions=1)


def block_others(connection: Connection, world: World) -> Counter[str]:
    """One session holds a wallet for some seconds, two others wait for it."""
    tenant, user = world.any_tenant(), USERS_PER_TENANT

    def wait_for_wallet() -> None:
        with world.connect() as waiting, waiting.transaction():
            _touch(waiting, tenant, user)

    with ThreadPoolExecutor(2) as pool:
        with connection.transaction():
            _touch(connection, tenant, user)
            waiters = [pool.submit(wait_for_wallet) for _ in range(2)]
            world.stop.wait(6)
        for waiter in waiters:
            waiter.result()
    return Counter(blocked_sessions=2)


def collide(connection: Connection, world: World) -> Counter[str]:
    """Two sessions lock two wallets in opposite order: PostgreSQL ends one of them with SQLSTATE 40P01."""
    tenant = world.any_tenant()
    both_hold_one = threading.Barrier(2, timeout=10)
    one, other = USERS_PER_TENANT - 2, USERS_PER_TENANT - 1

    def lock(session: Connection, first: int, second: int) -> int:
        try:
            with session.transaction():
                _touch(session, tenant, first)
                both_hold_one.wait()
                _touch(session, tenant, second)
        except psycopg.errors.DeadlockDetected:
            return 1
        except threading.BrokenBarrierError:
            return 0  # the other one failed, and says so itself
        return 0

    with world.connect() as second_session, ThreadPoolExecutor(2) as pool:
        sessions: list[Future[int]] = [
            pool.submit(lock, connection, one, other),
            pool.submit(lock, second_session, other, one),
        ]
        return Counter(deadlocks=sum(session.result() for session in sessions))


def _touch(connection: Connection, tenant: int, user: int) -> None:
    connection.execute(_SET_TENANT, [str(tenant)])
    connection.execute(
        "update app.wallets set updated_at = now() where tenant_id = %s and user_id = %s", [tenant, user]
    )
