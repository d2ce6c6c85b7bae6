"""Maintenance beside the polls: in a thread of the daemon, or at the end of a `collect`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from sbpgmon.config import Settings
from sbpgmon.errors import SbpgmonError, StoreError
from sbpgmon.logs import LOGGER, Repeats
from sbpgmon.store.maintenance import Maintained, Maintenance

_TRY_SECONDS = 30.0  # whether the lease has run out
_ONCE_SECONDS = 20.0  # a pass under cron: the next poll comes in a minute, and a rollback waits for half of one


class Keeper:
    """Sees to it that the store is maintained, by this agent or by another one."""

    def __init__(self, settings: Settings, holder: str, repeats: Repeats) -> None:
        self._stopping = threading.Event()
        self._maintenance = Maintenance(
            settings.store_dsn, holder, settings.agent.connect_timeout, self._stopping.is_set
        )
        self._repeats = repeats
        self._pool: ThreadPoolExecutor | None = None
        self._pass: Future[Maintained | None] | None = None
        self._tried_at = 0.0

    def poke(self) -> None:
        """Called often by the daemon: begins a pass in the background when one is due, and logs what came of it."""
        if self._pass is not None and self._pass.done():
            finished, self._pass = self._pass, None
            self._log(finished.result)
        if self._pass is None and (not self._tried_at or time.monotonic() - self._tried_at > _TRY_SECONDS):
            self._tried_at = time.monotonic()
            if self._pool is None:
                self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="maintenance")
            self._pass = self._pool.submit(self._maintenance.run_if_due)

    def once(self) -> SbpgmonError | None:
        """A pass in the foreground, when one is due; what went wrong is logged and returned.

        What takes longer than the time between two polls goes on with the next one.
        """
        # First it is asked to end after the step in hand, then that one is ended.
        timers = [threading.Timer(_ONCE_SECONDS, self._stopping.set), threading.Timer(1.5 * _ONCE_SECONDS, self._stop)]
        for timer in timers:
            timer.daemon = True
            timer.start()
        try:
            return self._log(self._maintenance.run_if_due)
        finally:
            for timer in timers:
                timer.cancel()

    def close(self) -> None:
        """Ends the step in hand, which the next pass does again."""
        self._stop()
        if self._pool is not None:
            while self._pass is not None and not wait([self._pass], timeout=1.0).done:
                self._stop()  # the first one may have come between two statements
            self._pool.shutdown(wait=True)

    def _stop(self) -> None:
        self._stopping.set()
        self._maintenance.cancel()

    def _log(self, result: Callable[[], Maintained | None]) -> SbpgmonError | None:
        try:
            done = result()
        except SbpgmonError as error:
            if self._stopping.is_set() and type(error) is StoreError:
                return None  # it was told to end
            self._repeats.error("", "maintenance", f"Maintenance of the store: {error}")
            return error
        if done is None:
            return None
        if done.failures:
            self._repeats.error("", "maintenance", f"Maintenance of the store: {' '.join(map(str, done.failures))}")
        else:
            self._repeats.ok("", "maintenance")
        for name in done.dropped:
            LOGGER.info("store: the partition %s is past its retention, and was dropped", name)
        if done.waiting:
            LOGGER.info("store: %s is past its retention, and still being read", ", ".join(done.waiting))
        if rows := sum(rolled.rows for rolled in done.rolled):
            LOGGER.info("store: rolled up into %d rows in %.1f s", rows, done.seconds)
        return done.failures[0] if done.failures else None
