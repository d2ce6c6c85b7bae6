"""Ctrl-C and SIGTERM at any moment: once, in the main thread, and never between a start and its record."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruptions:
    """While entered, the first SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt; later ones do nothing.

    So what cleans up after the first is not interrupted by a second.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._held = 0
        self._is_raised = False
        self._previous: dict[signal.Signals, Any] = {}

    @contextmanager
    def hold(self) -> Iterator[None]:
        """A signal that comes within is raised at the end: what is started here is also written down."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        self._raise_once()

    def __enter__(self) -> Self:
        for number in _NUMBERS:
            # A handler, never SIG_IGN: programs that we start would inherit the deafness.
            self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self.received is None:
            self.received = number
        self._raise_once()

    def _raise_once(self) -> None:
        if self.received is not None and not self._held and not self._is_raised:
            self._is_raised = True
            raise KeyboardInterrupt
