"""The agent's own weight: it is seen, shown, and guarded, under cron and as a daemon."""

from __future__ import annotations

import json
import logging
import time

import pytest

from sbpgmon.collect import guard
from tests.integration.support import GAP, METRICS, TARGET, Site, settle, wait_for

pytestmark = pytest.mark.matrix

SELF = ("self_calls_per_minute", "self_time_per_minute", "self_share_ratio", "stretched")
NOMINAL = "SELECT DISTINCT nominal_interval_seconds FROM monitoring.snapshot WHERE metric = %s AND time > %s ORDER BY 1"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard that judges at any time, by any stretch, however short."""
    monkeypatch.setattr(guard, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(guard, "LOOKS", 1e6)
    return


def own(site: Site) -> list[object]:
    """What `status` says of the agent's own cost."""
    found = json.loads(site.run("status", "--format", "json").stdout)
    [target] = found["targets"]
    return [target[name] for name in SELF]


def collect(site: Site, times: int) -> None:
    for _ in range(times):
        time.sleep(0.15)
        outcome = site.collect()
        assert outcome.worst is None, outcome.worst
        settle(site.database)


def now(site: Site) -> object:
    return site.value("SELECT clock_timestamp()")


def test_what_the_agent_costs_is_seen_and_shown(monitored: Site) -> None:
    assert site_is_silent(monitored)
    collect(monitored, 4)
    rows = monitored.ask(
        "SELECT part, metric, sum(calls), sum(total_exec_time), min(share_ratio), max(share_ratio), count(*) "
        "FROM monitoring.self_cost WHERE target = %s GROUP BY 1, 2",
        TARGET,
    )
    found = {(part, metric): (calls, ms) for part, metric, calls, ms, *_ in rows}
    assert {metric for part, metric in found if part == "poll"} >= {*METRICS, "probe", "begin", "describe"}
    assert ("store", "") in found  # the same server
    assert all(ms > 0 for _, ms in found.values())
    assert all(0 < low <= high < 1 for *_, low, high, _ in rows)
    # Each interval saw one reading of each metric, neither none nor the one inside COPY as well.
    intervals = max(count for *_, count in rows)
    assert {found["poll", metric][0] for metric in METRICS} == {intervals}
    calls, ms, share, stretched = own(monitored)
    assert isinstance(calls, float)
    assert isinstance(ms, float)
    assert isinstance(share, float)
    assert calls > 0 < ms
    assert 0 < share <= 1
    assert stretched is None
    table = monitored.run("status").stdout
    assert "The agent's own cost" in table
    assert "normal" in table


def site_is_silent(site: Site) -> bool:
    """Before anything is known, nothing is said: no 0."""
    site.collect()
    return own(site) == [None, None, None, None]


def test_a_server_without_pg_stat_statements_is_unknown_and_never_0(bare: Site) -> None:
    bare.run("init")
    bare.collect()
    time.sleep(0.15)
    bare.collect()
    assert own(bare) == [None, None, None, None]
    assert "–" in bare.run("status").stdout


def test_a_cost_beyond_the_limit_stretches_and_comes_back(
    monitored: Site, hasty: None, caplog: pytest.LogCaptureFixture
) -> None:
    collect(monitored, 3)
    # Some 10 µs a second: whatever is read is too much.
    monitored.configure(agent={"max_share_ratio": 0.00001})
    with caplog.at_level(logging.INFO, "sbpgmon"):
        begun = now(monitored)
        collect(monitored, 3)
    [(detail,)] = monitored.ask("SELECT detail FROM monitoring.event WHERE kind = 'guard'")
    assert detail.startswith("intervals are stretched, ")
    assert "locks x16" in detail
    assert "the limit is 0.00%" in detail
    assert [record.getMessage() for record in caplog.records].count(detail) == 1  # said once
    assert own(monitored)[3] == detail
    assert "locks x16" in " ".join(monitored.run("status").stdout.split())
    # Each is read once a stretched slot at most: cron's minute, 16 times over.
    count = "SELECT count(*) FROM monitoring.snapshot WHERE metric = 'locks' AND time > %s"
    assert monitored.value(count, begun) <= 1

    # The limit is raised: all comes back by itself, at once, and what was waited for is no gap.
    monitored.configure(agent={"max_share_ratio": 1.0})
    caplog.clear()
    with caplog.at_level(logging.INFO, "sbpgmon"):
        begun = now(monitored)
        collect(monitored, 1)
        assert monitored.ask(NOMINAL, "locks", begun) == [(960.0,)]
        begun = now(monitored)
        collect(monitored, 1)
        assert monitored.ask(NOMINAL, "locks", begun) == [(60.0,)]
    said = [record.getMessage() for record in caplog.records if "back to normal" in record.getMessage()]
    assert len(said) == 1
    assert own(monitored)[3] is None
    assert monitored.value("SELECT bit_or(coalesce(quality, 0)) FROM monitoring.snapshot") & GAP == 0


def test_the_daemon_takes_up_what_was_decided(monitored: Site) -> None:
    collect(monitored, 2)
    words = "intervals are stretched, locks x8: it was too much"
    monitored.ask(
        "INSERT INTO monitoring.event (target_id, kind, detail) "
        "SELECT target_id, 'guard', %s FROM monitoring.target RETURNING 1",
        words,
    )
    begun = now(monitored)
    count = "SELECT count(*) FROM monitoring.snapshot WHERE metric = %s AND status = 'ok' AND time > %s"
    monitored.configure(metrics={"locks": {"interval": "1s"}}, environment={"tick": "1s"})
    with monitored.start("run"):
        wait_for(lambda: monitored.value(count, "locks", begun) >= 2, 60)
    assert monitored.ask(NOMINAL, "locks", begun) == [(8.0,)]
    assert monitored.ask(NOMINAL, "connections", begun) == [(1.0,)]
    assert own(monitored)[3] == words
