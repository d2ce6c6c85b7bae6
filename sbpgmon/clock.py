"""The daemon's clock: ticks on the grid that metrics are due on, and what is to be done every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import schedule

from sbpgmon.collect.due import slot_at

_LOOK_SECONDS = 1


class Clock:
    """Calls `tick` at each multiple of `tick_seconds` since the epoch: a metric with that interval loses no slot."""

    def __init__(self, tick_seconds: float, tick: Callable[[], None]) -> None:
        self._scheduler = schedule.Scheduler()
        self._tick_seconds, self._tick = tick_seconds, tick
        self._slot = self._slot_now()
        self.every(_LOOK_SECONDS, self._look)

    def every(self, seconds: int, do: Callable[[], None]) -> None:
        self._scheduler.every(seconds).seconds.do(do)

    def run_pending(self) -> None:
        """Does what is due by now."""
        self._scheduler.run_pending()
        for job in self._scheduler.get_jobs():
            assert job.next_run is not None
            # schedule goes by local time: when summer ends, or the clock is put back, nothing would run for long.
            latest = datetime.now() + timedelta(seconds=job.interval)
            # On the second: what comes a second after it ran drifts past the ticks.
            job.next_run = min(job.next_run, latest).replace(microsecond=0)

    @property
    def idle_seconds(self) -> float:
        """Until something is due; never negative."""
        return max(0.0, self._scheduler.idle_seconds or 0.0)

    def tick_now(self) -> None:
        """A tick ahead of the grid's next one, at a start; it is that of its slot."""
        self._slot = self._slot_now()
        self._tick()

    def _look(self) -> None:
        if (slot := self._slot_now()) != self._slot:
            self._slot = slot
            self._tick()

    def _slot_now(self) -> int:
        return slot_at(time.time(), self._tick_seconds)
