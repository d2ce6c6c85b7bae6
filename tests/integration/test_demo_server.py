"""The cluster that the demo, the tests and the benchmarks run on: made, restarted, crashed, gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psycopg
import pytest

from sbpgmon.demo.binaries import ClusterError
from sbpgmon.demo.processes import is_alive
from sbpgmon.demo.server import Cluster


def _ask(dsn: str, query: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_life_leaves_nothing(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "pg", settings={"max_connections": "17"}, tcp=True)
    with cluster:
        data_dir, socket_dir, pid = cluster.data_dir, cluster.socket_dir, cluster.pid
        assert pid is not None
        assert socket_dir is not None
        assert _ask(cluster.dsn(), "show max_connections") == "17"
        assert _ask(cluster.dsn(), "show shared_preload_libraries") == "pg_stat_statements"
        assert _ask(cluster.dsn(), "show fsync") == "off"
        assert _ask(cluster.dsn(), "show server_encoding") == "UTF8"
        assert _ask(cluster.tcp_dsn(application_name="a b"), "show application_name") == "a b"

        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute("create table kept (id int)")
        cluster.restart()
        assert cluster.pid != pid
        cluster.crash()
        assert not cluster.is_running
        cluster.start()
        assert "automatic recovery in progress" in cluster.log_text()
        assert _ask(cluster.dsn(), "select count(*) from kept") == 0

        cluster.configure(work_mem="3MB")
        cluster.reload()
        cluster.restart()
        assert _ask(cluster.dsn(), "show work_mem") == "3MB"
        pid = cluster.pid
        assert pid is not None
    assert not data_dir.exists()
    assert not socket_dir.exists()
    assert not (tmp_path / "pg").is_symlink()
    assert not is_alive(pid)
    cluster.remove()  # a second time does nothing


def test_encoding_and_initdb_arguments(tmp_path: Path) -> None:
    with Cluster(tmp_path / "pg", encoding="SQL_ASCII", initdb_args=["--data-checksums"]) as cluster:
        assert _ask(cluster.dsn(client_encoding="UTF8"), "show server_encoding") == "SQL_ASCII"
        assert _ask(cluster.dsn(client_encoding="UTF8"), "show data_checksums") == "on"


def test_tcp_wants_the_password(tmp_path: Path) -> None:
    with (
        Cluster(tmp_path / "pg", tcp=True) as cluster,
        pytest.raises(psycopg.OperationalError, match="password"),
    ):
        psycopg.connect(cluster.tcp_dsn(password="wrong"))
    with pytest.raises(ClusterError, match="tcp=True"):
        Cluster(tmp_path / "other").tcp_dsn()


def test_failed_start_shows_the_log_and_leaves_nothing(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "pg", settings={"shared_buffers": "many"})
    with pytest.raises(ClusterError, match='invalid value for parameter "shared_buffers"'):
        cluster.__enter__()
    assert not (tmp_path / "pg").exists()
    assert cluster.socket_dir is None


def test_existing_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    cluster = Cluster(tmp_path)
    with pytest.raises(ClusterError, match="not empty"):
        cluster.create()
    cluster.remove()
    assert (tmp_path / "precious").read_text() == "mine"


def test_missing_server_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no PostgreSQL server there"):
        Cluster(tmp_path / "pg", bin_dir=tmp_path)


def test_a_running_cluster_is_taken_up(tmp_path: Path) -> None:
    with Cluster(tmp_path / "pg") as cluster:
        again = Cluster(tmp_path / "pg")
        assert again.pid == cluster.pid
        assert again.dsn() == cluster.dsn()
        again.remove()
        assert not cluster.is_running
        assert not (tmp_path / "pg").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "released"])
def test_server_ends_with_its_program_unless_released(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C takes the server down; a released one stays, and can be taken up and removed."""
    program = textwrap.dedent(f"""
        import pathlib, sys, time
        from sbpgmon.demo.server import Cluster
        cluster = Cluster(pathlib.Path({str(tmp_path / "pg")!r}))
        cluster.create()
        cluster.start()
        {"cluster.release()" if number is signal.SIGKILL else ""}
        print(cluster.pid, flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.kill(process.pid, number)
        process.wait(30)
    cluster = Cluster(tmp_path / "pg")
    try:
        assert is_alive(pid) is (number is signal.SIGKILL)
    finally:
        cluster.remove()
    assert not is_alive(pid)
    assert not (tmp_path / "pg").exists()
