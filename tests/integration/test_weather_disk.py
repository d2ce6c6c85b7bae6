"""A disk that is full, of the store or of the state folder: nothing half, and nothing wrong after it."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sbpgmon.demo.binaries import server_account
from sbpgmon.demo.server import Cluster
from sbpgmon.present.grants import grants_sql
from tests.conftest import Database
from tests.integration.support import SNAPSHOTS, Site, create_schema
from tests.integration.test_agent_outage import Work

pytestmark = pytest.mark.matrix


@pytest.fixture
def small_disk(own_cluster: Cluster) -> Iterator[Path]:
    """A file system of 64 MB that the server may write to."""
    assert own_cluster.socket_dir is not None
    folder = own_cluster.socket_dir / "disk"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], capture_output=True, check=False
        ).returncode
    ):
        folder.rmdir()
        pytest.skip("only root can mount a small file system")
    server_account().take(folder)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()


def _fill(folder: Path) -> Path:
    """Takes all that is left."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as out:
        for size in (1024 * 1024, 4096, 1):
            try:
                while True:
                    out.write(b"x" * size)
            except OSError:
                pass
    return file


def test_the_disk_of_the_store_is_full(own_cluster: Cluster, small_disk: Path, monitored: Site, tmp_path: Path) -> None:
    database = Database(own_cluster, "on_a_small_disk")
    (small_disk / "space").mkdir()
    server_account().take(small_disk / "space")
    with psycopg.connect(own_cluster.dsn(), autocommit=True) as connection:
        # A vacuum of the catalog makes every new connection write a file, which on a full disk ends it.
        connection.execute("ALTER SYSTEM SET autovacuum = off")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"CREATE TABLESPACE small LOCATION '{small_disk / 'space'}'".encode())
        connection.execute("CREATE DATABASE on_a_small_disk TABLESPACE small")
        connection.execute(grants_sql(database.name).encode())
    try:
        create_schema(database)
        site = Site(database, tmp_path / "full", dict(monitored.targets))
        work = Work(site, monitored)
        site.polled()
        work(3)
        site.polled()
        filler = _fill(small_disk)
        work(5)
        with monitored.database.connect() as connection:
            # More statements than fit into the pages that are there.
            for columns in range(1, 400):
                connection.execute(f"SELECT {', '.join('now()' for _ in range(columns))}".encode())
        done = site.run("collect", check=20)
        assert "The store's disk is full: could not extend file" in done.stderr
        assert "Make room; readings wait in the spool until then." in done.stderr
        assert len(site.spooled) == 1
        assert site.is_consistent()
        work(7)
        # A table that was extended in vain stays longer: some of what waits may fit in now.
        site.run("collect", check=None)
        assert site.is_consistent()
        filler.unlink()
        work(11)
        site.run("collect")
        assert site.spooled == []
        site.polled()
        assert work.counted() == [(3, 0), (5, 0), (7, 0), (11, 0)]
        assert site.is_consistent()
    finally:
        with psycopg.connect(own_cluster.dsn(), autocommit=True) as connection:
            connection.execute("DROP DATABASE on_a_small_disk WITH (FORCE)")
            connection.execute("DROP TABLESPACE small")
            connection.execute("ALTER SYSTEM RESET autovacuum")
            connection.execute("SELECT pg_reload_conf()")


def _no_files() -> None:
    # What a full disk does to a program, without one: every write to a file fails (with EFBIG).
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def test_the_disk_of_the_state_folder_is_full(monitored: Site) -> None:
    work = Work(monitored, monitored)
    monitored.polled()
    for calls in (3, 5):
        work(calls)
        done = monitored.run("collect", check=None, preexec_fn=_no_files)
        # The store has it all; what the state folder is for is said to be missing.
        assert f"{len(SNAPSHOTS)} snapshots stored" in done.stderr
        assert str(monitored.state_dir) in done.stderr
        assert "File too large" in done.stderr
    work(7)
    monitored.polled()
    monitored.polled()
    assert work.counted() == [(3, 0), (5, 0), (7, 0)]
    assert monitored.is_consistent()
    assert not list(monitored.state_dir.rglob("*.new"))


def test_neither_the_store_nor_the_state_folder(outage: Site, own_cluster: Cluster, monitored: Site) -> None:
    work = Work(outage, monitored)
    outage.polled()
    own_cluster.stop()
    work(3)
    done = outage.run("collect", check=20, preexec_fn=_no_files)
    assert f"Neither the store nor the state folder {outage.state_dir} takes the readings" in done.stderr
    assert "They are lost." in done.stderr
    assert outage.spooled == []
    (outage.state_dir / "spool" / "0-app.new").write_text("half, as kill -9 leaves it")
    own_cluster.start()
    work(5)
    outage.polled()
    outage.polled()
    assert outage.spooled == []
    # The next difference spans what was lost.
    assert work.counted() == [(8, 0)]
    assert outage.is_consistent()


def test_a_store_that_crashes_while_the_state_folder_is_full(
    outage: Site, own_cluster: Cluster, monitored: Site
) -> None:
    work = Work(outage, monitored)
    outage.polled()
    work(3)
    outage.run("collect", check=None, preexec_fn=_no_files)
    own_cluster.crash()
    own_cluster.start()
    work(5)
    outage.collect()
    work(7)
    outage.polled()
    # The folder holds the counters of an older snapshot: not to be taken for the last ones.
    assert work.counted() == [(3, 0), (7, 0)]
    assert outage.is_consistent()
