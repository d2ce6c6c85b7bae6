"""A limit on the client's side: whatever hangs, a connection's work ends.

A server that hangs answers neither a cancel nor a timeout of its own; only the socket is ours.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import psycopg

_CANCEL_SECONDS = 2.0


@contextlib.contextmanager
def deadline(conn: psycopg.Connection[Any], seconds: float) -> Iterator[threading.Event]:
    """After `seconds` the statement in hand is cancelled, then the socket shut; the event yielded is set by then."""
    expired, finished = threading.Event(), threading.Event()

    def expire() -> None:
        expired.set()
        with contextlib.suppress(psycopg.Error, OSError):
            conn.cancel_safe(timeout=_CANCEL_SECONDS)
        if finished.wait(timeout=_CANCEL_SECONDS):
            return
        with (
            contextlib.suppress(psycopg.Error, OSError, ValueError),
            socket.socket(fileno=os.dup(conn.fileno())) as held,
        ):
            held.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        finished.set()
        timer.cancel()
