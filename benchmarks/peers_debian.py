"""The peers' programs out of Debian's packages, unpacked in a folder: nothing is installed, nothing asked."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sbpgmon.demo.binaries import scratch_root, server_account

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "peers"
SERVER = "postgresql-15"
POWA = "postgresql-15-powa"
EXPORTER = "prometheus-postgres-exporter"
PROMETHEUS = "prometheus"
PACKAGES = (SERVER, POWA, EXPORTER, PROMETHEUS)
_PATIENCE_SECONDS = 300
# What must start, of each package; PoWA is a library of the server's.
_PROGRAMS = {
    SERVER: "usr/lib/postgresql/15/bin/postgres",
    EXPORTER: "usr/bin/prometheus-postgres-exporter",
    PROMETHEUS: "usr/bin/promtool",
}


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the programs are, and why some could not be had."""

    root: Path
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def server_bin(self) -> Path | None:
        """PostgreSQL 15's programs; None where they could not be had."""
        return None if SERVER in self.missing else self.root / "usr/lib/postgresql/15/bin"

    @property
    def exporter_example(self) -> Path:
        """The exporter's example of queries, which its package brings."""
        return self.root / "usr/share/doc" / EXPORTER / "examples/queries.yaml"

    @property
    def prometheus(self) -> Path:
        """The server itself, beside promtool."""
        return self.root / "usr/bin/prometheus"

    def program(self, package: str) -> Path:
        return self.root / _PROGRAMS[package]

    def why_not(self, *packages: str) -> str:
        """Why something that needs these packages cannot be measured; empty when it can."""
        return "; ".join(f"{name}: {self.missing[name]}" for name in packages if name in self.missing)


@contextlib.contextmanager
def programs(advance: Callable[[str], None]) -> Iterator[Programs]:
    """Fetches what is not there yet, with `apt-get download` and `dpkg -x`; `advance` hears of each package.

    As root the server runs as another user. Where that one cannot reach the folder (a clone below /root), a copy in
    the temporary folder serves, which is removed at the end.
    """
    missing: dict[str, str] = {}
    for name in PACKAGES:
        advance(name)
        why = _fetch(name) or _not_starting(name)
        if why:
            missing[name] = why
    with contextlib.ExitStack() as stack:
        root = FOLDER
        account = server_account()
        if SERVER not in missing and not account.can_use(root):
            copy = stack.enter_context(tempfile.TemporaryDirectory(prefix="sbpgmon-peers-", dir=scratch_root(account)))
            Path(copy).chmod(0o755)
            root = Path(copy)
            shutil.copytree(FOLDER / "usr", root / "usr", symlinks=True)
        yield Programs(root, missing)


def _fetch(name: str) -> str:
    """Unpacks a package, unless that was done before; returns why it could not."""
    stamp = FOLDER / f".{name}"
    if stamp.exists():
        return ""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        return "there is no apt-get here"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        why = _run(folder, "apt-get", "download", name)
        if why and os.geteuid() == 0:
            # A fresh image has no lists of packages.
            why = _run(folder, "apt-get", "update") or _run(folder, "apt-get", "download", name)
        if why:
            return why
        for package in Path(folder).glob("*.deb"):
            why = _run(folder, "dpkg", "-x", str(package), str(FOLDER))
    if not why:
        FOLDER.chmod(0o755)
        stamp.touch()
    return why


def _not_starting(name: str) -> str:
    """Why an unpacked program does not start; mostly a library that Debian would have installed with it."""
    if name not in _PROGRAMS:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        return _run(folder, str(FOLDER / _PROGRAMS[name]), "--version")


def _run(folder: str, *command: str) -> str:
    """Runs a command; returns the last thing that it complained of if it fails."""
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    said = (done.stderr or done.stdout).strip().splitlines()
    return said[-1] if said else f"{command[0]} ended with {done.returncode}"
