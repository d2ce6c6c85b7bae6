"""pgbench as one of the sportsbook's crowds: it places bets and reads wallets until it is told to stop."""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sbpgmon.demo.binaries import ClusterError, clean_environment, wheel_bin_dir

_PLACE = Path(__file__).with_name("place_bet.sql")
_READ = Path(__file__).with_name("read_wallet.sql")
_LONGEST_SECONDS = 86400


@dataclass(frozen=True)
class Done:
    """What pgbench says it did: transactions by script, and those that failed."""

    bets_placed: int = 0
    wallets_read: int = 0
    failed: int = 0


class Pgbench:
    """A running pgbench of 3 connections against the sportsbook; `dsn` is the application role's."""

    def __init__(self, dsn: str, *, per_second: int = 60, program: Path | None = None) -> None:
        self._command = [
            str(program or wheel_bin_dir() / "pgbench"),
            *("--no-vacuum", "--client=3", "--jobs=1", "--protocol=simple", f"--rate={per_second}"),
            *(f"--time={_LONGEST_SECONDS}", "--failures-detailed", "--max-tries=5"),
            *(f"--file={_PLACE}@2", f"--file={_READ}@3", dsn),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()

    def start(self) -> None:
        """Starts it in a session of its own, so that the terminal's Ctrl-C is ours to handle."""
        self._process = subprocess.Popen(
            self._command,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> Done:
        """Ends it and returns its counts. Raises ClusterError when it had ended by itself."""
        process, self._process = self._process, None
        if process is None:
            return Done()
        ended_early = process.poll() is not None
        try:
            # As when its time is up: it finishes the transactions in hand and prints what it did.
            process.send_signal(signal.SIGALRM)
            process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()
            self._output.seek(0)
            report = self._output.read().decode(errors="replace")
            self._output.close()
        if process.returncode == -signal.SIGALRM:
            return Done()  # it was not connected yet
        if ended_early or process.returncode != 0:
            tail = "\n".join(report.strip().splitlines()[-10:])
            raise ClusterError(f"pgbench ended with {process.returncode}:\n{tail}")
        return parse_report(report)


def parse_report(report: str) -> Done:
    """Reads pgbench's summary of the two scripts; what is not there counts as 0."""
    by_script = {Path(part.split("\n", 1)[0].strip()).name: part for part in re.split(r"SQL script \d+: ", report)[1:]}

    def count(script: Path, label: str) -> int:
        found = re.search(rf"- number of {label}: (\d+)", by_script.get(script.name, ""))
        return int(found[1]) if found else 0

    return Done(
        bets_placed=count(_PLACE, "transactions actually processed"),
        wallets_read=count(_READ, "transactions actually processed"),
        failed=count(_PLACE, "failed transactions") + count(_READ, "failed transactions"),
    )
