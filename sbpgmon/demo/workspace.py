"""The folder `.demo/`: what the demo keeps there, and how everything in it is stopped and removed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path

from sbpgmon.demo.processes import command_line, end, is_alive
from sbpgmon.demo.server import Cluster
from sbpgmon.errors import SbpgmonError


class DemoError(SbpgmonError):
    """A step of the demo failed."""


def default_folder() -> Path:
    """`.demo` in the checkout, or where we stand when sbpgmon is installed without one."""
    checkout = Path(__file__).resolve().parents[2]
    return (checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()) / ".demo"


class Workspace:
    """The demo's folder. One demo at a time uses it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.data_dir = self.folder / "pg"
        self.config = self.folder / "sbpgmon.toml"
        self.agent_log = self.folder / "agent.log"
        self.traffic_log = self.folder / "traffic.log"
        self.report = self.folder.parent / "sbpgmon-demo.html"  # beside it: it stays when the folder goes
        self._processes = self.folder / "processes.json"
        self._kept = self.folder / "kept"
        self._lock: int | None = None

    @property
    def is_there(self) -> bool:
        return self.folder.exists()

    @property
    def is_kept(self) -> bool:
        """Whether a demo was left running on purpose, and still does."""
        return self._kept.exists() and Cluster(self.data_dir).is_running

    def open(self) -> None:
        """Makes the folder and takes it for us. Raises DemoError when another demo has it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DemoError(
                f"{self.folder} cannot be used: {error.strerror}.",
                "Remove it, or run as the user whose it is.",
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise DemoError(f"A demo is at work in {self.folder}.", "Let it end, or press Ctrl-C there.") from None

    def release(self) -> None:
        """Lets go of the folder, and leaves it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def note_process(self, name: str, pid: int) -> None:
        """Remembers a process, so that a later run can stop it should we be killed."""
        self._processes.write_text(json.dumps(self._noted() | {name: pid}), encoding="utf-8")

    def keep(self) -> None:
        """Marks what runs as left running on purpose."""
        self._kept.touch()

    def clear(self) -> None:
        """Stops every process of the demo and its server, and empties the folder. Raises DemoError."""
        # Who writes first: the agent and the traffic, then the server.
        for pid in self._noted().values():
            # A number can have gone to another process since.
            if is_alive(pid) and "sbpgmon" in command_line(pid):
                end(pid)
        if self.data_dir.exists():
            Cluster(self.data_dir).remove()
        try:
            for path in self.folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name != "lock":
                    path.unlink()
        except OSError as error:
            raise DemoError(f"{error.filename}: {error.strerror}.", f"Remove {self.folder} yourself.") from None

    def remove(self) -> None:
        """`clear`, and the folder itself."""
        self.clear()
        # Another demo may wait for the lock in this very folder; it makes a new one if it is quick.
        shutil.rmtree(self.folder, ignore_errors=True)
        self.release()

    def _noted(self) -> dict[str, int]:
        try:
            return {str(name): int(pid) for name, pid in json.loads(self._processes.read_text("utf-8")).items()}
        except (OSError, ValueError):
            return {}
