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


def _assert_nothing_is_left(scratch: Path) -> None:
    assert list(scratch.iterdir()) == []
    assert _processes_of(scratch) == []


@pytest.mark.parametrize(
    ("seconds", "number"),
    [
        (0.3, signal.SIGINT),
        (0.6, signal.SIGTERM),
        (1.0, signal.SIGINT),
        (1.5, signal.SIGTERM),
        (2.5, signal.SIGINT),
        (5.0, signal.SIGTERM),
        (12.0, signal.SIGINT),
    ],
)
def test_interrupted_at_any_moment(scratch: Path, seconds: float, number: signal.Signals) -> None:
    with _start(scratch, "--seconds", "60") as process:
        time.sleep(seconds)
        process.send_signal(number)
        process.send_signal(number)  # the impatient press twice
        output, _ = process.communicate(timeout=60)
    if process.returncode != -number:  # Python itself was still starting
        assert process.returncode == 128 + number, output
        assert "Interrupted" in output
    _assert_nothing_is_left(scratch)


def test_killed_then_run_again(scratch: Path) -> None:
    """What a killed demo leaves, the next one stops and removes before it begins."""
    with _start(scratch, "--seconds", "60") as process:
        _wait_for_line(process, "Traffic for")
        process.kill()
    assert any("pgbench" in line for line in _processes_of(scratch))
    with _start(scratch, "--stop") as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    _assert_nothing_is_left(scratch)


def _wait_for_line(process: subprocess.Popen[str], beginning: str) -> None:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.strip().startswith(beginning):
            return
    pytest.fail("".join(seen))
