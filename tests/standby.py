"""A hot standby without pg_basebackup, which npm's servers lack: the low-level backup, on every major."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import psycopg

from sbpgmon.demo.binaries import ClusterError, server_account
from sbpgmon.demo.server import Cluster

# As in pg_basebackup: what is of the running server, or is made anew by the next one.
_LEFT_OUT = {"postmaster.pid", "postmaster.opts", "backup_label", "tablespace_map", "server.log", "pg_internal.init"}
_EMPTY = {
    "pg_wal",
    "pg_replslot",
    "pg_dynshmem",
    "pg_notify",
    "pg_serial",
    "pg_snapshots",
    "pg_stat_tmp",
    "pg_subtrans",
}
_CONTROL = Path("global", "pg_control")


def copy_as_standby(primary: Cluster, folder: Path) -> None:
    """A base backup of the running primary in the empty `folder`: what starts there is its hot standby."""
    with contextlib.closing(psycopg.connect(primary.dsn(), autocommit=True)) as session:
        is_old = session.info.server_version < 150000
        # The backup and the slot, which keeps the WAL until it is copied, live as long as this session.
        slot = f"standby_{os.getpid()}_{time.monotonic_ns()}"
        session.execute("SELECT pg_create_physical_replication_slot(%s, true, true)", (slot,))
        begin = "pg_start_backup('standby', true, false)" if is_old else "pg_backup_start('standby', true)"
        end = "pg_stop_backup(false, false)" if is_old else "pg_backup_stop(false)"
        [(first,)] = session.execute(f"SELECT pg_walfile_name({begin})".encode()).fetchall()
        _copy_data(primary.data_dir, folder)
        [(last, label, tablespaces)] = session.execute(
            f"SELECT pg_walfile_name(lsn), labelfile, spcmapfile FROM {end}".encode()
        ).fetchall()
        if tablespaces:
            raise ClusterError(f"{primary.link}: has tablespaces, which are not copied.")
        _copy(primary.data_dir, folder, [Path("pg_wal", name) for name in _segments(primary, first, last)])
    conninfo = primary.dsn().replace("'", "''")
    _write(folder / "backup_label", label)
    _write(folder / "standby.signal", "")
    with (folder / "postgresql.auto.conf").open("a", encoding="utf-8") as config:
        config.write(f"primary_conninfo = '{conninfo}'\n")


class Standby(Cluster):
    """A hot standby of the running `primary`, with its settings: a cluster like any other."""

    def __init__(
        self, data_dir: Path, primary: Cluster, *, settings: Mapping[str, str] | None = None, tcp: bool = False
    ) -> None:
        super().__init__(data_dir, bin_dir=primary.bin_dir, settings={**primary.settings, **(settings or {})}, tcp=tcp)
        self._primary = primary

    def _initdb(self, password_file: Path) -> None:  # noqa: ARG002
        self.data_dir.chmod(0o700)  # as initdb has it, and as the server wants it
        copy_as_standby(self._primary, self.data_dir)
        self.password = self._primary.password

    def catch_up(self, *, timeout_seconds: float = 30) -> None:
        """Until all that the primary has done so far has been replayed."""
        with (
            contextlib.closing(psycopg.connect(self._primary.dsn(), autocommit=True)) as primary,
            contextlib.closing(psycopg.connect(self.dsn(), autocommit=True)) as standby,
        ):
            [(position,)] = primary.execute("SELECT pg_current_wal_lsn()").fetchall()
            deadline = time.monotonic() + timeout_seconds
            query = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            while standby.execute(query, (position,)).fetchone() != (True,):
                if time.monotonic() > deadline:
                    raise ClusterError(f"The standby in {self.link} does not follow:\n{self.log_text()[-2000:]}")
                time.sleep(0.02)


def _copy_data(source: Path, target: Path) -> None:
    """All but WAL, and the control file last: recovery must not begin behind what has been copied."""
    for root, folders, files in os.walk(source):
        folder = Path(root).relative_to(source)
        _make(target / folder)
        if folder.name == "pgsql_tmp" or (folder.parts and folder.parts[0] in _EMPTY):
            # The server makes anew what these hold, but for folders below pg_wal.
            folders[:] = folders if folder.parts[0] == "pg_wal" else []
            continue
        names = [folder / name for name in files if name not in _LEFT_OUT]
        _copy(source, target, [name for name in names if name != _CONTROL])
    _copy(source, target, [_CONTROL])


def _copy(source: Path, target: Path, names: Iterable[Path]) -> None:
    account = server_account()
    for name in names:
        # A table may be dropped meanwhile: its WAL will say so.
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(source / name, target / name)
            (target / name).chmod(0o600)
            account.take(target / name)


def _segments(primary: Cluster, first: str, last: str) -> list[str]:
    # The names of one timeline's segments are in order.
    names = sorted(path.name for path in (primary.data_dir / "pg_wal").iterdir())
    return [name for name in names if first <= name <= last and len(name) == len(first)]


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    server_account().take(folder)


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    server_account().take(path)
