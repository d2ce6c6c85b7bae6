"""`DROP SCHEMA monitoring CASCADE` by hand, in the midst of what an agent writes: it waits, and is never the victim."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from sbpgmon.errors import SchemaGoneError, StoreError
from sbpgmon.store.connection import StoreConnection, holding_schema
from tests.conftest import Database
from tests.integration.support import OWNER, Site, wait_for

pytestmark = pytest.mark.matrix
DROP = "SET client_min_messages = warning; DROP SCHEMA monitoring CASCADE"
TABLES = (
    "SELECT oid::regclass::text FROM pg_class "
    "WHERE relnamespace = 'monitoring'::regnamespace AND relkind IN ('r', 'p') ORDER BY oid"
)
Begin = Callable[[StoreConnection], contextlib.AbstractContextManager[psycopg.Connection[Any]]]


class Dropper:
    """Drops the schema, over and over, each time in a transaction that is rolled back in the end."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thread: threading.Thread | None = None
        self._pid = 0
        self.waited = 0
        self.errors: list[psycopg.Error] = []

    def begin(self) -> None:
        """Begins once more, unless the last one still waits; returns when it waits, or is done."""
        if self._thread is not None and self._thread.is_alive():
            return
        with self._database.connect() as connection:
            query = "SELECT FROM pg_locks WHERE pid = %s AND NOT granted"
            self._pid = 0
            self._thread = thread = threading.Thread(target=self._drop)
            thread.start()
            wait_for(lambda: not thread.is_alive() or (self._pid and connection.execute(query, (self._pid,)).rowcount))
            self.waited += thread.is_alive()

    def end(self) -> None:
        if self._thread is not None:
            self._thread.join(30)
            assert not self._thread.is_alive()

    def _drop(self) -> None:
        with self._database.connect() as connection:
            self._pid = connection.info.backend_pid
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(DROP)
            except psycopg.Error as error:
                self.errors.append(error)


@pytest.fixture
def dropper(monitored: Site) -> Iterator[Dropper]:
    dropper = Dropper(monitored.database)
    yield dropper
    dropper.end()


@pytest.mark.parametrize("place", [2, 3, 6, 30])
def test_a_drop_in_the_midst_of_a_transaction(
    monitored: Site, dropper: Dropper, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drop begins before the statement of this number in each transaction of the agent's on its store."""
    real = psycopg.Connection.execute
    seen: dict[psycopg.Connection[Any], int] = {}

    def execute(self: psycopg.Connection[Any], *args: Any, **options: Any) -> Any:
        if self.info.user == OWNER:
            is_within = self.info.transaction_status == TransactionStatus.INTRANS
            seen[self] = seen.get(self, 0) + 1 if is_within else 0
            if seen[self] == place:
                dropper.begin()
        return real(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Connection, "execute", execute)
        monitored.polled()
    dropper.end()
    assert dropper.errors == []
    assert dropper.waited > 0
    assert monitored.is_consistent()


@pytest.mark.parametrize("begin", [StoreConnection.transaction, lambda store: holding_schema(store.raw)])
def test_tables_in_any_order(monitored: Site, dropper: Dropper, begin: Begin) -> None:
    """Which the drop locks first is up to the catalog: where old rows have left room, it is not the oldest."""
    names = [name for (name,) in monitored.ask(TABLES)]
    with contextlib.closing(StoreConnection(monitored.database.dsn(OWNER))) as store:
        for order in (names, names[::-1]):
            with begin(store) as conn:
                conn.execute(f"SELECT FROM {order[len(order) // 2]} LIMIT 0".encode())
                dropper.begin()
                for name in order:
                    conn.execute(f"LOCK TABLE ONLY {name} IN EXCLUSIVE MODE".encode())
            dropper.end()
    assert dropper.errors == []
    assert dropper.waited == 2


def test_a_transaction_begins_while_it_is_dropped(monitored: Site) -> None:
    with (
        contextlib.closing(StoreConnection(monitored.database.dsn(OWNER))) as store,
        monitored.database.connect() as admin,
    ):
        with admin.transaction(force_rollback=True):
            admin.execute(DROP)
            with pytest.raises(StoreError, match="lock timeout"), store.transaction(lock_timeout="100ms"):
                pytest.fail("the schema was held while it was dropped")
        with store.transaction() as conn:
            assert conn.execute("SELECT FROM monitoring.control").rowcount == 1
        admin.execute(DROP)
        # `init` and `doctor` begin so, too.
        with store.transaction() as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(SchemaGoneError), store.transaction() as conn:
            conn.execute("SELECT FROM monitoring.control")
