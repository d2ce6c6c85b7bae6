"""Maintenance and the judging of statements, beside the polls: in threads of the daemon, or as a `collect` ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from sbpgmon.config import Settings
from sbpgmon.errors import SbpgmonError, StoreError
from sbpgmon.logs import LOGGER, Repeats, tell_findings
from sbpgmon.model import Metric, TargetPoll
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.judging import Judging, Passed, Planners
from sbpgmon.store.maintenance import Maintained, Maintenance

_TRY_SECONDS = 30.0  # whether the lease has run out
_JUDGE_SECONDS = 5.0  # of statements under cron; the rest comes with the next one
_ONCE_SECONDS = 20.0  # a pass under cron: the next poll comes in a minute, and a rollback waits for half of one


class Keeper:
    """Sees to it that the store is maintained, by this agent or by another one, and its own statements are judged."""

    def __init__(
        self, settings: Settings, metrics: Mapping[str, Metric], holder: str, repeats: Repeats, planners: Planners
    ) -> None:
        self._stopping = threading.Event()
        self._maintenance = Maintenance(
            settings.store_dsn, holder, settings.agent.connect_timeout, self._stopping.is_set
        )
        self._judging = Judging(
            StoreConnection(settings.store_dsn, settings.agent.connect_timeout),
            metrics,
            holder,
            self._stopping.is_set,
            planners=planners,
        )
        self._targets = [target.name for target in settings.targets]
        self._repeats = repeats
        self._pool: ThreadPoolExecutor | None = None
        self._pass: Future[Maintained | None] | None = None
        self._judged: Future[Passed] | None = None
        self._tried_at = 0.0
        self._has_tenancy = True  # of some target; until a pass says otherwise
        self._has_news = True

    def poke(self) -> None:
        """Called often by the daemon: begins what is due in the background, and logs what came of it."""
        if self._pass is not None and self._pass.done():
            finished, self._pass = self._pass, None
            self._log(finished.result)
        if self._judged is not None and self._judged.done():
            judged, self._judged = self._judged, None
            self._has_news = not self._log_judged(judged.result) or self._has_news
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="maintenance")
        if self._pass is None and (not self._tried_at or time.monotonic() - self._tried_at > _TRY_SECONDS):
            self._tried_at = time.monotonic()
            self._pass = self._pool.submit(self._maintenance.run_if_due)
        if self._judged is None and self._has_news:
            self._has_news = False
            self._judged = self._pool.submit(self._judge)

    def note(self, poll: TargetPoll) -> None:
        """A poll has been stored: there may be statements to judge."""
        self._has_tenancy = self._has_tenancy or bool(poll.isolation is not None and poll.isolation.ground)
        self._has_news = self._has_news or self._has_tenancy

    def _judge(self) -> Passed:
        try:
            return self._judging.run(self._targets)
        finally:
            self._judging.close()

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
            error = self._judge_once()
            return self._log(self._maintenance.run_if_due) or error
        finally:
            for timer in timers:
                timer.cancel()

    def _judge_once(self) -> SbpgmonError | None:
        errors: list[SbpgmonError] = []
        began = time.monotonic()
        while not self._log_judged(self._judge, errors) and time.monotonic() - began < _JUDGE_SECONDS:
            pass
        return errors[0] if errors else None

    def close(self) -> None:
        """Ends the step in hand, which the next pass does again."""
        self._stop()
        if self._pool is not None:
            working: list[Future[Any]] = [future for future in (self._pass, self._judged) if future is not None]
            while wait(working, timeout=1.0).not_done:
                self._stop()  # the first one may have come between two statements
            self._pool.shutdown(wait=True)

    def _stop(self) -> None:
        self._stopping.set()
        self._maintenance.cancel()
        self._judging.cancel()

    def _log_judged(self, result: Callable[[], Passed], errors: list[SbpgmonError] | None = None) -> bool:
        """Whether there is nothing more to do at once."""
        try:
            done = result()
        except SbpgmonError as error:
            if not (self._stopping.is_set() and type(error) is StoreError):
                self._repeats.error("", "judging", f"Judging statements: {error}")
                if errors is not None:
                    errors.append(error)
            return True
        self._repeats.ok("", "judging")
        self._has_tenancy = done.targets > 0
        for target, line in done.findings:
            tell_findings(target, [line])
        if done.texts:
            LOGGER.info("%d statements were judged", done.texts)
        return done.is_done

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
