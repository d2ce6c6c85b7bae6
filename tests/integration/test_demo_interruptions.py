"""The demo ends cleanly whatever happens and whenever: no server, no agent, no pgbench, no folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sbpgmon.demo.processes import command_line


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A temporary folder for the demo alone, which the server's user can enter."""
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        Path(name).chmod(0o1777)
        yield Path(name)


def _start(scratch: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sbpgmon.demo", "--folder", str(scratch / "demo"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )


def _processes_of(scratch: Path) -> list[str]:
    """Command lines of the processes that name the folder or a folder in it."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [line for line in map(command_line, pids) if str(scratch) in line]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seconds", [0.3, 0.7, 1.2, 2.0, 3.5])
def test_interrupted_at_any_moment(scratch: Path, seconds: float, number: signal.Signals) -> None:
    with _start(scratch, "--seconds", "60") as process:
        time.sleep(seconds)
        process.send_signal(number)
        process.send_signal(number)  # the impatient press twice
        output, _ = process.communicate(timeout=60)
    if process.returncode != -number:  # Python itself was still starting
        assert process.returncode == 128 + number, output
        assert "Interrupted" in output
    assert list(scratch.iterdir()) == []
    assert _processes_of(scratch) == []
