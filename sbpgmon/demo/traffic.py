"""Traffic on the sportsbook from several connections, and an honest count of what it did.

Run as a program (`python -m sbpgmon.demo.traffic DSN`) it works until SIGTERM and then prints its counts.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self

import psycopg

from sbpgmon.demo import errands
from sbpgmon.demo.errands import Errand, World
from sbpgmon.demo.pgbench import Pgbench
from sbpgmon.errors import SbpgmonError


class TrafficError(SbpgmonError):
    """A session of the traffic failed in a way that was not planned."""


@dataclass(frozen=True)
class Counts:
    """What the traffic did: only what was committed, and deadlocks as the clients saw them (40P01)."""

    bets_placed: int = 0
    wallets_read: int = 0
    settlements: int = 0
    deposits: int = 0
    logins: int = 0
    reports: int = 0
    deadlocks: int = 0
    idle_transactions: int = 0
    blocked_sessions: int = 0


@dataclass(frozen=True)
class Crowd:
    """So many sessions that do the same errand, each with a pause of about so long in between."""

    errand: Errand
    sessions: int
    pause_seconds: float


CROWDS = (
    Crowd(errands.place_accumulator, 2, 0.15),
    Crowd(errands.settle_bet, 1, 0.05),
    Crowd(errands.deposit, 1, 0.3),
    Crowd(errands.log_in, 1, 0.2),
    Crowd(errands.run_report, 1, 1.5),
    Crowd(errands.idle_in_transaction, 1, 3.0),
    Crowd(errands.block_others, 1, 4.0),
    Crowd(errands.collide, 1, 3.0),
)


class Traffic:
    """Runs the crowds in threads, and pgbench beside them, until told to stop.

    `dsn` is the application role's. With `pgbench=False` the Python sessions are alone.
    """

    def __init__(self, dsn: str, *, crowds: tuple[Crowd, ...] = CROWDS, pgbench: bool = True, seed: int = 1) -> None:
        self._dsn = dsn
        self._crowds = crowds
        self._seed = seed
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._tally: Counter[str] = Counter()
        self._failures: list[Exception] = []
        self._threads: list[threading.Thread] = []
        self.pgbench = Pgbench(dsn) if pgbench else None

    def start(self) -> None:
        """Starts every session; returns at once."""
        if self.pgbench is not None:
            self.pgbench.start()
        for crowd in self._crowds:
            for _ in range(crowd.sessions):
                world = World(self._dsn, self._stop, random.Random(self._seed + len(self._threads)))
                thread = threading.Thread(target=self._work, args=(crowd, world), daemon=True)
                self._threads.append(thread)
                thread.start()

    def counts(self) -> Counts:
        """What was done so far; pgbench's part is known only at the end."""
        with self._lock:
            return Counts(**self._tally)

    def check(self) -> None:
        """Raises TrafficError when a session has failed, or pgbench has ended."""
        if self._failures:
            raise TrafficError(f"A session of the traffic failed: {self._failures[0]}")
        if self.pgbench is not None and self._threads and not self.pgbench.is_running:
            self.pgbench.stop()

    def stop(self) -> Counts:
        """Lets every session finish what it is doing, closes all, and returns the counts.

        Raises TrafficError when a session had failed, ClusterError when pgbench had.
        """
        self._stop.set()
        try:
            for thread in self._threads:
                thread.join(20)
        finally:
            done = self.pgbench.stop() if self.pgbench is not None else None
        if done is not None:
            self._add(Counter(bets_placed=done.bets_placed, wallets_read=done.wallets_read))
        if any(thread.is_alive() for thread in self._threads):
            raise TrafficError("A session of the traffic does not end: is the server stuck?")
        self._threads.clear()
        if self._failures:
            raise TrafficError(f"A session of the traffic failed: {self._failures[0]}")
        return self.counts()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _work(self, crowd: Crowd, world: World) -> None:
        try:
            with world.connect() as connection:
                while not self._stop.wait(crowd.pause_seconds * world.chance.uniform(0.5, 1.5)):
                    try:
                        self._add(crowd.errand(connection, world))
                    except psycopg.errors.DeadlockDetected:
                        self._add(Counter(deadlocks=1))
        except Exception as error:  # the thread ends here; stop() and check() tell
            self._failures.append(error)

    def _add(self, done: Counter[str]) -> None:
        with self._lock:
            self._tally.update(done)


def main() -> None:
    """Works until SIGTERM or SIGINT, then prints the counts as JSON."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    traffic = Traffic(sys.argv[1])
    traffic.start()
    try:
        while not told.wait(1):
            traffic.check()
    finally:
        print(json.dumps(asdict(traffic.stop())))


if __name__ == "__main__":
    main()
