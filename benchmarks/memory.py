"""Resident memory of the daemon with many targets, and what it loads; the daemon is a process of its own."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from benchmarks.accounting import resident_bytes
from benchmarks.servers import TARGET_DATABASE, Servers
from benchmarks.workload import run_some
from sbpgmon.catalog.catalog import load_catalog

STORE_DATABASE = "fleet"
_SHARE = 0.02  # of the statements, which run each time that we look
_LOOK_SECONDS = 0.5
_END_SECONDS = 60.0
_POLLS = b"""
SELECT coalesce(min(polls), 0) FROM (
  SELECT (SELECT count(*) FROM monitoring.snapshot_log AS l
          JOIN monitoring.metric AS m USING (metric_id)
          WHERE l.target_id = t.target_id AND m.name = 'stat_statements' AND l.status = 'ok') AS polls
  FROM monitoring.target AS t) AS by_target
"""


@dataclass(frozen=True, slots=True)
class Memory:
    """The daemon's memory in bytes; `by_polls` after so many polls of every target."""

    targets: int
    by_polls: dict[int, int]
    peak_bytes: int
    polls: int
    seconds: float
    loaded: list[str]  # heavy libraries that were


def measure_memory(
    servers: Servers, targets: int, marks: list[int], limit_seconds: float, advance: Callable[[int], None]
) -> Memory:
    """Runs the daemon, every metric due every second, on as many databases as there are to be targets.

    Each of them shows all statements of the cluster, so that each poll reads as much as a target of its own
    would give. Memory is read after as many polls of each target as `marks` say; polls are counted in the
    store. Past `limit_seconds` what was reached counts.
    """
    catalog = load_catalog()
    dsns = {f"target{n:02d}": servers.create_target(f"fleet_{n:02d}") for n in range(targets)}
    sections = ['[environment]\ntick = "1s"', *(f'[metrics.{name}]\ninterval = "1s"' for name in catalog.metrics)]
    config = servers.write_config("fleet", servers.create_store(STORE_DATABASE, catalog), dsns, "\n".join(sections))
    log = servers.folder / "fleet.log"
    command = [sys.executable, "-m", "benchmarks.daemon", "--config", str(config), "run"]
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(log.open("w"))
        daemon = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True))
        stack.callback(daemon.kill)
        store = stack.enter_context(servers.connect(servers.store, STORE_DATABASE))
        work = stack.enter_context(servers.connect(servers.target, TARGET_DATABASE))
        began = time.monotonic()
        by_polls: dict[int, int] = {}
        polls = resident = peak = 0
        dice = random.Random(3)
        while polls < marks[-1] and time.monotonic() - began < limit_seconds:
            time.sleep(_LOOK_SECONDS)
            if daemon.poll() is not None:
                raise RuntimeError(f"the daemon ended with {daemon.returncode}:\n{log.read_text()[-2000:]}")
            run_some(work, servers.statements, _SHARE, dice)
            seen = _polls(store)
            resident, peak = resident_bytes(daemon.pid) or (resident, peak)
            by_polls |= {mark: resident for mark in marks if polls < mark <= seen}
            advance(min(seen, marks[-1]) - min(polls, marks[-1]))
            polls = seen
        seconds = time.monotonic() - began
        daemon.terminate()
        out, _ = daemon.communicate(timeout=_END_SECONDS)
        if daemon.returncode != 0 or polls == 0:
            raise RuntimeError(f"the daemon ended with {daemon.returncode}:\n{log.read_text()[-2000:]}")
    loaded = json.loads(out.strip().splitlines()[-1])["loaded"]
    return Memory(targets, by_polls or {polls: resident}, peak, polls, seconds, loaded)


def _polls(conn: psycopg.Connection[Any]) -> int:
    row = conn.execute(_POLLS).fetchone()
    assert row is not None
    return int(row[0])
