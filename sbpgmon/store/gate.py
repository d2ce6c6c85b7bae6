"""The agent's way into the store: opens it, keeps the leases, writes polls, and spools them while it is away."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import psycopg

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.config import Settings
from sbpgmon.errors import (
    LeaseTakenError,
    QueryFileError,
    SchemaGoneError,
    SchemaMismatchError,
    StoreError,
    StoreRefusedError,
)
from sbpgmon.logs import LOGGER
from sbpgmon.model import Status, TargetPoll, WriteResult
from sbpgmon.store import lease
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.preflight import publications
from sbpgmon.store.spool import Spool, load, state_folder
from sbpgmon.store.state import CHECK, last_slots
from sbpgmon.store.sync import add_new, keep_tiers, out_of_date, unusable
from sbpgmon.store.targets import known_identifiers
from sbpgmon.store.texts import wanted_texts
from sbpgmon.store.version import check
from sbpgmon.store.writer import Writer

_T = TypeVar("_T")
_RETRY_SECONDS = (1.0, 60.0)  # between attempts to reach a store that is away: first, longest
FATAL = (SchemaGoneError, SchemaMismatchError, StoreRefusedError)


class Gate:
    """One agent's access to the store and to its state folder. Not for several threads."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._targets = [target.name for target in settings.targets]
        self._store = StoreConnection(settings.store_dsn, settings.agent.connect_timeout)
        self.spool = Spool(state_folder(settings), settings.agent.spool_bytes)
        self.holder = lease.holder_of(self.spool.identity())
        self._writer = Writer(self._store, catalog, self.spool, self.holder)
        self._slots = {name: self.spool.slots(name) for name in self._targets}
        self._texts_read: dict[str, datetime | None] = {}
        self._identifiers: dict[str, int] = {}  # target -> server that its history is of
        self._refused: set[str] = set()  # targets as which another server answered
        self.is_open = False
        self._retry_at = 0.0
        self._away_error: StoreError | None = None
        self._retry_seconds = _RETRY_SECONDS[0]
        self._renewed_at = 0.0
        self.held: dict[str, str] = {}
        self.on_progress: Callable[[], None] = lambda: None  # called while a long replay goes on
        self.unusable: set[str] = set()  # metrics whose tables have other columns
        self.problems: list[QueryFileError] = []  # derived views that the store refused

    def open(self) -> None:
        """Checks the schema, makes it follow the catalog, takes the leases, replays what waits.

        Raises SchemaGoneError, SchemaMismatchError and StoreRefusedError, which nothing but a person can mend;
        StoreError when the store is away.
        """
        try:
            with self._store.transaction() as conn:
                check(conn)
                lease.refuse_stopped(conn)
                if carriers := publications(conn):
                    raise StoreRefusedError(
                        f"A publication would carry our tables away: {', '.join(carriers)}.",
                        "Its subscriber would stop at our first row. Use a separate store: [store] dsn.",
                    )
                stale = out_of_date(conn, self._catalog)
            readers, retention_of = self._settings.store.readers, self._settings.retention_of
            with self._store.transaction(statement_timeout="10min", lock_timeout="1s") as conn:
                done = []
                if any(stale):
                    self.problems.clear()
                    done = add_new(conn, self._catalog, readers, self.problems, retention_of)
                for line in (*done, *keep_tiers(conn, self._catalog, readers, retention_of, is_poll=True)):
                    LOGGER.info("store: %s", line)
            self._writer.forget()
            self.renew()
            self._replay()
            with self._store.transaction() as conn:
                stored = last_slots(conn, self._targets)
                self._identifiers = known_identifiers(conn, self._targets)
                self.unusable = unusable(conn, self._catalog)
        except FATAL:
            raise
        except StoreError as error:
            self._away(error)
            raise
        # The store knows better than the folder, which may be of another schema.
        self._slots = {name: stored.get(name, {}) for name in self._targets}
        self.is_open = True
        self._retry_seconds = _RETRY_SECONDS[0]

    def renew(self) -> None:
        """Takes or renews the leases; `held` then says which targets other agents have."""
        with self._store.transaction() as conn:
            ids = lease.target_ids(conn, self._targets)
            taken = lease.take(conn, list(ids.values()), self.holder, self._settings.agent.lease)
        names = {number: name for name, number in ids.items()}
        self.held = {names[number]: holder for number, holder in taken.items()}
        self._renewed_at = time.monotonic()

    def keep_alive(self) -> None:
        """Called often: obeys the stop flag, renews the leases in time, looks for a store that was away.

        Raises what open() raises.
        """
        self._ensure_open()
        try:
            with self._store.transaction() as conn:
                lease.refuse_stopped(conn)
                if self._refused:
                    self._look_for_accepted(conn)
            before = self.held
            self._renew_in_time()
            if before.keys() - self.held.keys():
                # Another agent's targets are ours now: what waits of them comes first.
                self._replay()
        except FATAL:
            raise
        except StoreError as error:
            self._away(error)
            raise

    def _look_for_accepted(self, conn: psycopg.Connection[Any]) -> None:
        identifiers = known_identifiers(conn, self._targets)
        for name in sorted(self._refused):
            if identifiers.get(name) != self._identifiers.get(name):
                self._begin_anew(name)
        self._identifiers = identifiers

    def _begin_anew(self, target: str) -> None:
        LOGGER.info("the other server was accepted: a new epoch begins", extra={"target": target})
        self._refused.discard(target)
        self._slots[target] = {}  # all of it is due

    def _renew_in_time(self) -> None:
        if time.monotonic() - self._renewed_at > self._settings.agent.lease / 3:
            self.renew()

    def last_slots(self, target: str) -> dict[str, int]:
        """Metric -> slot of its last snapshot, as the store or the state folder has it."""
        return self._slots[target]

    def last_check_slots(self, target: str) -> dict[str, int]:
        """The same of the checks of tenant isolation."""
        return {name.removeprefix(CHECK): slot for name, slot in self._slots[target].items() if name.startswith(CHECK)}

    def identifier(self, target: str) -> int | None:
        """The system identifier of the server that the target's history is of; None while it is not known."""
        return self._identifiers.get(target)

    def wanted_texts(self, target: str) -> list[int]:
        """The queryids whose text is to be fetched now: none while the last fetch is recent."""
        if not self.is_open or self._settings.texts == "off" or "stat_statements" not in self._catalog.metrics:
            return []
        last = self._texts_read.get(target)
        if last is not None and (datetime.now(UTC) - last).total_seconds() < self._settings.agent.texts_every:
            return []
        try:
            with self._store.transaction() as conn:
                last, wanted = wanted_texts(conn, target)
        except StoreError:
            return []
        self._texts_read[target] = last
        if last is not None and (datetime.now(UTC) - last).total_seconds() < self._settings.agent.texts_every:
            return []
        return wanted

    def ask(self, what: Callable[[psycopg.Connection[Any]], _T]) -> _T | None:
        """What the store answers to something that can wait; None while it is away, and when it cannot tell."""
        if not self.is_open:
            return None
        try:
            with self._store.transaction() as conn:
                return what(conn)
        except StoreError as error:
            LOGGER.debug("not answered: %s", error)
            return None

    def write(self, poll: TargetPoll) -> WriteResult:
        """Stores a poll, after those that wait. Spools it and raises StoreError when the store is away."""
        try:
            try:
                self._ensure_open()
            finally:
                self._slots[poll.target] |= {reading.metric: reading.slot for reading in poll.readings}
                if poll.isolation is not None:
                    self._slots[poll.target] |= {f"{CHECK}{n}": slot for n, slot in poll.isolation.slots.items()}
                self.spool.keep_slots(poll.target, self._slots[poll.target])
            result = self._writer.write(poll)
            self._note_identity(poll, result)
            return result
        except FATAL:
            raise
        except LeaseTakenError as error:
            self.held = self.held | {poll.target: error.what}
            return WriteResult(notes=[("", error.what)])
        except StoreError as error:
            if self.is_open:
                self._away(error)  # else it was told already, and must not put off the next attempt
            if dropped := self.spool.put(poll):
                LOGGER.warning("the spool is full: %d of the oldest polls were dropped", len(dropped))
            raise

    def _note_identity(self, poll: TargetPoll, result: WriteResult) -> None:
        if result.refusal is not None:
            self._refused.add(poll.target)
        elif poll.server is not None:
            self._refused.discard(poll.target)
            self._identifiers[poll.target] = poll.server.system_identifier
            if any(reading.status is Status.REFUSED for reading in poll.readings):
                self._begin_anew(poll.target)

    def _ensure_open(self) -> None:
        if not self.is_open:
            if self._away_error is not None and time.monotonic() < self._retry_at:
                raise self._away_error
            self.open()

    def release(self) -> None:
        """Gives the leases up, so that another agent need not wait for their end."""
        if self._renewed_at:
            try:
                with self._store.transaction() as conn:
                    lease.release(conn, self.holder)
            except StoreError as error:
                LOGGER.debug("leases were not released: %s", error)

    def close(self) -> None:
        self._store.close()

    def _away(self, error: StoreError) -> None:
        self._away_error = error
        if self.is_open:
            self._retry_seconds = _RETRY_SECONDS[0]
        self.is_open = False
        self._retry_at = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(self._retry_seconds * 2, _RETRY_SECONDS[1])

    def _replay(self) -> None:
        """Writes what waits, in order; a file that is not a poll is put aside, and said."""
        for path in self.spool.waiting():
            try:
                poll, _ = load(path.read_bytes())
            except ValueError as error:
                path.rename(path.with_suffix(".broken"))
                LOGGER.error("spool: %s is %s; put aside as %s", path.name, error, path.with_suffix(".broken").name)
                continue
            if poll.target in self.held:
                continue
            self.on_progress()
            try:
                result = self._writer.write(poll, is_replay=True)
            except LeaseTakenError as error:
                self.held = self.held | {poll.target: error.what}
                continue
            if result.refusal is not None and poll.target not in self._refused:
                LOGGER.error("spool: %s", result.refusal, extra={"target": poll.target})
            self._note_identity(poll, result)
            for metric, note in (*result.failures, *result.notes):
                LOGGER.warning("spool: %s", note, extra={"target": poll.target, "metric": metric})
            path.unlink()
            self._renew_in_time()
            LOGGER.info("spool: replayed %s", path.name, extra={"target": poll.target})
