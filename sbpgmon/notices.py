"""What systemd wants to hear (sd_notify): READY, WATCHDOG, STOPPING. Silent where there is no systemd.

The protocol is one datagram: https://www.freedesktop.org/software/systemd/man/sd_notify.html
"""

from __future__ import annotations

import contextlib
import os
import socket
import time


class Systemd:
    """Sends notices to the socket that systemd names in the environment."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        usec = os.environ.get("WATCHDOG_USEC", "")
        self._every = int(usec) / 2e6 if usec.isdigit() else None
        self._last = 0.0

    def send(self, state: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # Nobody at the other end is no reason to stop polling.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.sendto(state.encode(), address)

    def alive(self) -> None:
        """Feeds the watchdog at half its time."""
        if self._every is not None and time.monotonic() - self._last >= self._every:
            self._last = time.monotonic()
            self.send("WATCHDOG=1")
