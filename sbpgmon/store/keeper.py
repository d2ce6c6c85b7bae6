"""Maintenance beside the polls: in a thread of the daemon, or at the end of a `collect`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from sbpgmon.config import Settings
from sbpgmon.errors import SbpgmonError
from sbpgmon.logs import LOGGER, Repeats
from sbpgmon.store.maintenance import Maintained, Maintenance

_TRY_SECONDS = 30.0  # whether the lease has run out


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
        """A pass in the foreground, when one is due; what went wrong is logged and returned."""
        return self._log(self._maintenance.run_if_due)

    def close(self) -> None:
        """Ends after the step in hand."""
        self._stopping.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    def _log(self, result: Callable[[], Maintained | None]) -> SbpgmonError | None:
        try:
            done = result()
        except SbpgmonError as error:
            self._repeats.error("", "maintenance", f"Maintenance of the store: {error}")
            return error
        self._repeats.ok("", "maintenance")
        if done is None:
            return None
        for name in done.dropped:
            LOGGER.info("store: the partition %s is past its retention, and was dropped", name)
        if done.waiting:
            LOGGER.info("store: %s is past its retention, and still being read", ", ".join(done.waiting))
        if rows := sum(rolled.rows for rolled in done.rolled):
            LOGGER.info("store: rolled up into %d rows in %.1f s", rows, done.seconds)
        return None
