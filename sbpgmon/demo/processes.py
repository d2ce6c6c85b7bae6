"""Running programs as another user, and knowing for sure that a process is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Account:
    """The system user that the server runs as; None for both when it is the user we are."""

    uid: int | None = None
    gid: int | None = None

    def popen_options(self) -> dict[str, Any]:
        """What `subprocess` needs to run a program as this user."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def take(self, path: Path) -> None:
        """Makes this user the owner of `path`."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def can_use(self, folder: Path, *, write: bool = False) -> bool:
        """Whether this user can enter `folder` (and write into it)."""
        test = 'test -x "$1" && test -w "$1"' if write else 'test -x "$1"'
        return succeeds(["/bin/sh", "-c", test, "sh", str(folder)], self)


def succeeds(command: Sequence[str], account: Account, env: Mapping[str, str] | None = None) -> bool:
    """Whether the program can be started as `account` and ends with 0."""
    try:
        done = subprocess.run(command, cwd="/", env=env, capture_output=True, **account.popen_options())
    except OSError:
        return False
    return done.returncode == 0


def run_to_end(command: Sequence[str], account: Account, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs a program as `account`, out of reach of the terminal's Ctrl-C.

    If we are interrupted meanwhile it gets a SIGINT (on which pg_ctl takes down the server that it is just
    starting) and is waited for.
    """
    # Files and not pipes: a server inherits them, and a pipe would not end before the server does.
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(
            command,
            env=env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
            **account.popen_options(),
        ) as process:
            try:
                process.wait()
            except BaseException:
                process.send_signal(signal.SIGINT)
                raise
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(process.args, process.returncode, output.read(), errors.read())


def is_alive(pid: int) -> bool:
    """Whether the process runs; a dead one that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return not Path("/proc/self/stat").exists()
    # A dead process that nobody has waited for (a container without an init) still has its number.
    return state.rpartition(")")[2].split()[0] != "Z"


def command_line(pid: int) -> str:
    """The process's command and arguments; empty when it is gone or the system does not tell."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def end(pid: int, *, timeout_seconds: float = 15) -> None:
    """Asks the process to end (SIGTERM), waits, and kills it when it does not."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_seconds
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    if is_alive(pid):
        kill(pid)


def kill(pid: int) -> None:
    """Kills the process (SIGKILL) and waits up to 5 s until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    for _ in range(50):
        if not is_alive(pid):
            return
        time.sleep(0.1)
