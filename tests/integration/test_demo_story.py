"""The whole demo, as `make demo` runs it, only shorter."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg


def _demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sbpgmon.demo", "--folder", str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        # What a user has set for another sbpgmon does not reach the demo.
        env={**os.environ, "SBPGMON_STORE__DSN": "host=nowhere.invalid", "PGHOST": "nowhere.invalid"},
        check=False,
    )


def test_whole_story(tmp_path: Path) -> None:
    done = _demo(tmp_path / "demo", "--seconds", "8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" equal") == 5
    assert "DIFFERENT" not in done.stdout
    assert "sportsbook_app" in done.stdout  # of `top`
    assert "rls_policy_always_true" in done.stdout
    assert "cross_tenant_queries" in done.stdout
    assert "All of it is closed" in done.stdout
    assert "nothing is left" in done.stdout
    assert not (tmp_path / "demo").exists()
    # The last that is said is where the report is, and it has something to say.
    report = tmp_path / "sbpgmon-demo.html"
    assert str(report) in "".join(done.stdout.splitlines()[-4:])
    text = report.read_text(encoding="utf-8")
    assert "sportsbook" in text
    assert len(text.encode()) < 2_000_000


def test_kept_refused_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    try:
        kept = _demo(folder, "--seconds", "2", "--keep")
        assert kept.returncode == 0, kept.stdout + kept.stderr
        found = re.search(r"host=\S+ port=\d+ dbname=sportsbook user=grafana_reader", kept.stdout)
        assert found is not None
        with psycopg.connect(found[0]) as connection:
            row = connection.execute("select count(*) > 0 from monitoring.snapshot").fetchone()
        assert row == (True,)

        again = _demo(folder, "--seconds", "2")
        assert again.returncode == 1
        assert "--stop" in again.stdout
    finally:
        stopped = _demo(folder, "--stop")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert not folder.exists()
    assert "Nothing runs" in _demo(folder, "--stop").stdout
