"""prometheus-postgres-exporter, scraped as Prometheus would, and the size of what it says in Prometheus' blocks."""

from __future__ import annotations

import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psycopg

from benchmarks.accounting import cpu_seconds, process_cpu_seconds
from benchmarks.peers_cost import Cost
from benchmarks.servers import TARGET_DATABASE, Servers

_METRIC = "pg_stat_statements"
# The package's example is for servers before 13: what columns have been called since, where they have been renamed.
_RENAMED = (
    (re.compile(r"\b(total|min|max|mean|stddev)_time\b(?= /)"), r"\1_exec_time", "total_exec_time"),
    (re.compile(r"\bblk_(read|write)_time\b(?= /)"), r"shared_blk_\1_time", "shared_blk_read_time"),
)
_HAS = b"SELECT attname FROM pg_attribute WHERE attrelid = 'pg_stat_statements'::regclass AND attnum > 0"
_BACKENDS = b"SELECT pid FROM pg_stat_activity WHERE application_name = %s"
_START_SECONDS = 30.0
_SCRAPE_SECONDS = 120.0


class Exporter:
    """The exporter as a process; with `example`, a file of queries, the one for pg_stat_statements and nothing else."""

    def __init__(self, program: Path, servers: Servers, example: Path | None = None) -> None:
        self._name = f"exporter_{'all' if example else 'default'}"
        self._conn: psycopg.Connection[Any] = servers.connect(servers.target, TARGET_DATABASE)
        self._backends: dict[int, float] = {}
        port = free_port()
        self._url = f"http://127.0.0.1:{port}/metrics"
        command = [str(program), f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
        if example:
            path = servers.folder / f"{self._name}.yaml"
            path.write_text(self._query(example.read_text(encoding="utf-8")), encoding="utf-8")
            command += [f"--extend.query-path={path}", "--disable-default-metrics", "--disable-settings-metrics"]
            command += ["--no-collector.database", "--no-collector.bgwriter"]
        source = servers.target.dsn(TARGET_DATABASE, "postgres", application_name=self._name, sslmode="disable")
        self._log_path = servers.folder / f"{self._name}.log"
        self._log: IO[bytes] = self._log_path.open("wb")
        self._process = subprocess.Popen(
            command, env={"DATA_SOURCE_NAME": source, "PATH": "/usr/bin:/bin"}, stdout=self._log, stderr=self._log
        )
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def _query(self, example: str) -> str:
        """The part about pg_stat_statements, with the names that the columns of this server have."""
        found = re.search(rf"^{_METRIC}:\n(?:[ \n].*\n?)+", example, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"the exporter's example has nothing about {_METRIC}")
        query = found[0]
        has = {row[0] for row in self._conn.execute(_HAS)}
        for old, new, column in _RENAMED:
            if column in has:
                query = old.sub(new, query)
        return query

    def _wait(self) -> None:
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.scrape()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"the exporter did not start:\n{self.log_text()[-2000:]}") from None
                time.sleep(0.2)

    def log_text(self) -> str:
        return self._log_path.read_text(encoding="utf-8", errors="replace")

    def scrape(self) -> bytes:
        """What the exporter says now."""
        with urllib.request.urlopen(self._url, timeout=_SCRAPE_SECONDS) as answer:
            body: bytes = answer.read()
        return body

    def snapshot(self) -> tuple[Cost, bytes]:
        """One scrape: its cost, and what the exporter said."""
        self._server_seconds()
        client = process_cpu_seconds(self._process.pid)
        body = self.scrape()
        client = process_cpu_seconds(self._process.pid) - client
        return Cost(target_seconds=self._server_seconds(), client_seconds=client), body

    def _server_seconds(self) -> float:
        """CPU of its backends since the last call; one that is new counts from its start."""
        pids = [int(row[0]) for row in self._conn.execute(_BACKENDS, (self._name,)).fetchall()]
        now = {pid: cpu_seconds(pid) for pid in pids}
        seconds = sum(cpu - self._backends.get(pid, 0.0) for pid, cpu in now.items())
        self._backends = now
        return seconds

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        self._conn.close()


class Blocks:
    """Writes what was scraped as blocks of Prometheus' database, one scrape a minute, with `promtool`.

    Of every tenth statement, all series: the text of all would be gigabytes. The size is scaled up to all.
    """

    EVERY = 10
    _QUERYID = re.compile(rb'queryid="(-?\d+)"')

    def __init__(self, promtool: Path, folder: Path, scrapes: int) -> None:
        self._promtool = promtool
        self._text = folder / "scrapes.txt"
        self._output = folder / "blocks"
        self._file = self._text.open("wb")
        # A block is of two hours, from an even hour on; it lies in the past.
        block = 7200
        self._time = int(time.time()) // block * block - (scrapes * 60 // block + 2) * block
        self._kept = self._seen = 0

    def add(self, body: bytes) -> None:
        """One scrape, a minute after the last."""
        stamp = b" %d\n" % self._time
        self._file.writelines(line + stamp for line in self._chosen(body))
        self._time += 60

    def _chosen(self, body: bytes) -> Iterator[bytes]:
        prefix = f"{_METRIC}_".encode()
        for line in body.splitlines():
            found = self._QUERYID.search(line) if line.startswith(prefix) else None
            if found:
                self._seen += 1
                if int(found[1]) % self.EVERY == 0:
                    self._kept += 1
                    yield line

    def write(self) -> tuple[int, int]:
        """Bytes of all statements' samples, and with the index of the blocks; Prometheus' own log is not in it."""
        self._file.write(b"# EOF\n")
        self._file.close()
        command = [str(self._promtool), "tsdb", "create-blocks-from", "openmetrics", str(self._text), str(self._output)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0 or not self._kept:
            raise RuntimeError(f"promtool: {done.stderr.strip()[-500:] or 'no statements in the scrapes'}")
        scale = self._seen / self._kept
        chunks, index = (_size(self._output.glob(f"*/{pattern}")) for pattern in ("chunks/*", "index"))
        return round(chunks * scale), round((chunks + index) * scale)


def _size(paths: Iterator[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
