"""Events of the application through the agent: each is counted once, whatever happens in between."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from sbpgmon.demo.server import Cluster
from sbpgmon.errors import StoreError
from sbpgmon.store.writer import Writer
from tests.integration.support import METRICS, READER, Site, wait_for

pytestmark = pytest.mark.matrix
MOMENT = timedelta(microseconds=1)
LOGIN = """
CREATE SCHEMA shop;
CREATE TABLE shop.login (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), tenant_id text, ok boolean);
CREATE INDEX ON shop.login (at);
GRANT USAGE ON SCHEMA shop TO {reader};
GRANT SELECT ON shop.login TO {reader};
"""
SQL = (
    "select tenant_id as tenant, count(*) filter (where not ok) as count, count(*) as attempts "
    "from shop.login where at > :from and at <= :to group by 1"
)


def configure(site: Site, *events: dict[str, Any], interval: str = "100ms", **more: Any) -> None:
    declared = events or (event(),)
    site.configure(
        metrics={name: {"enabled": False} for name in METRICS} | {"tenant_events": {"interval": interval}},
        tenancy={"events": list(declared)},
        **more,
    )


def event(name: str = "failed_logins", sql: str = SQL, **more: Any) -> dict[str, Any]:
    # An interval below that of the polls: each of them counts.
    return {"name": name, "sql": sql, "interval": 1, "lag": "1ms"} | more


class Logins:
    """Rows of the application's table, and the truth about them by hand."""

    def __init__(self, target: Site) -> None:
        self._target = target
        with target.database.connect() as admin:
            admin.execute(LOGIN.format(reader=READER).encode())
        self.truth: Counter[tuple[str, str]] = Counter()

    def add(self, tenant: str | None, failed: int, good: int = 0, *, ago: float = 0.0, counts: bool = True) -> None:
        with self._target.database.connect() as admin:
            admin.execute(
                b"INSERT INTO shop.login (at, tenant_id, ok) SELECT now() - make_interval(secs => %s), %s, g > %s "
                b"FROM generate_series(1, %s) AS g",
                (ago, tenant, failed, failed + good),
            )
        if counts:
            self.truth[tenant or "", "count"] += failed
            self.truth[tenant or "", "attempts"] += failed + good


def stored(site: Site, event_name: str = "failed_logins") -> Counter[tuple[str, str]]:
    rows = site.ask(
        "SELECT tenant, sum(count)::bigint, sum(attempts)::bigint FROM monitoring.tenant_events "
        "WHERE tier = '1m' AND event = %s GROUP BY 1",
        event_name,
    )
    found: Counter[tuple[str, str]] = Counter()
    for tenant, count, attempts in rows:
        found[tenant, "count"] += count
        found[tenant, "attempts"] += attempts
    return +found


def windows(site: Site) -> float:
    """Seconds that were counted."""
    return float(site.value("SELECT sum(window_seconds) FROM monitoring.tenant_events WHERE tier = '1m'"))


def until(site: Site) -> datetime:
    [(time,)] = site.ask("SELECT counted_until FROM monitoring.counted_window WHERE name = 'failed_logins'")
    assert isinstance(time, datetime)
    return time


def counted(site: Site) -> None:
    """Polls until a window has ended that began after this call."""
    begun = site.value("SELECT clock_timestamp()")
    wait_for(lambda: site.polled() and until(site) > begun)


def next_slot(site: Site) -> None:
    """Waits until a window is due again: that is once a slot of a second."""
    begun = site.value("SELECT clock_timestamp()")
    wait_for(lambda: site.value("SELECT clock_timestamp() - %s > interval '1.1 s'", begun))


def test_what_happened_is_counted_once(monitored: Site) -> None:
    logins = Logins(monitored)
    configure(monitored)
    logins.add("acme", 50, ago=30, counts=False)  # before the first window: an interval of 1 s
    monitored.polled()
    first = until(monitored)
    for round_ in range(3):
        logins.add("acme", 3 + round_, 5)
        logins.add("beta", 0, 2)
        logins.add(None, 1)
        counted(monitored)
        assert stored(monitored) == +logins.truth
    # Nothing happened, and that is known.
    counted(monitored)
    assert stored(monitored) == +logins.truth
    # The windows join: as long together as the time from the first to the last.
    assert windows(monitored) == pytest.approx((until(monitored) - first).total_seconds() + 1, abs=0.01)
    assert monitored.is_consistent()
    share = monitored.ask(
        "SELECT sum(count)::bigint, sum(attempts)::bigint FROM monitoring.security_events "
        "WHERE tier = '1m' AND tenant = 'acme' AND event = 'failed_logins'"
    )
    assert share == [(logins.truth["acme", "count"], logins.truth["acme", "attempts"])]


def test_late_rows_within_the_lag_are_counted(monitored: Site) -> None:
    logins = Logins(monitored)
    configure(monitored, event(lag="3s"))
    monitored.polled()
    with monitored.database.connect() as slow:
        slow.execute("BEGIN")
        slow.execute("INSERT INTO shop.login (tenant_id, ok) VALUES ('acme', false)")
        began = slow.execute("SELECT now()").fetchone()
        assert began is not None
        wait_for(lambda: monitored.polled() and until(monitored) > began[0] - timedelta(seconds=2.5))
        slow.execute("COMMIT")
    logins.truth.update({("acme", "count"): 1, ("acme", "attempts"): 1})
    counted(monitored)
    assert stored(monitored) == +logins.truth


def test_an_outage_of_the_store(outage: Site, own_cluster: Cluster, monitored: Site) -> None:
    logins = Logins(monitored)
    configure(outage)
    outage.polled()
    logins.add("acme", 4, 4)
    own_cluster.stop()
    for failed in (5, 6):
        logins.add("acme", failed)
        outcome = outage.collect()
        assert isinstance(outcome.worst, StoreError)
        # Nobody says where the next window begins: nothing is read twice.
        assert outage.spooled == []
    own_cluster.start()
    logins.add("beta", 7, 1)
    counted(outage)
    assert stored(outage) == +logins.truth


def test_a_poll_that_the_store_did_not_take(
    outage: Site, own_cluster: Cluster, monitored: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins = Logins(monitored)
    configure(outage)
    outage.polled()
    logins.add("acme", 4, 4)
    real = Writer.write
    mark = until(outage)

    def stopped(self: Writer, *args: Any, **options: Any) -> Any:
        # The store goes away between the reading and the writing.
        own_cluster.stop()
        return real(self, *args, **options)

    def spooled() -> bool:
        next_slot(outage)
        with monkeypatch.context() as patch:
            patch.setattr(Writer, "write", stopped)
            outage.collect()
        own_cluster.start()
        return bool(outage.spooled)

    wait_for(spooled)
    [path, *_] = outage.spooled
    kept = path.read_bytes()
    assert until(outage) == mark
    logins.add("acme", 2)
    counted(outage)
    assert stored(outage) == +logins.truth
    # As after kill -9 between the commit and the end of the file.
    path.write_bytes(kept)
    logins.add("beta", 2)
    counted(outage)
    assert outage.spooled == []
    assert stored(outage) == +logins.truth
    assert outage.is_consistent()


def test_a_window_that_fails_is_counted_later(monitored: Site) -> None:
    logins = Logins(monitored)
    other = event("all_logins", SQL.replace("filter (where not ok) ", ""))
    configure(monitored, event(), other)
    monitored.polled()
    logins.add("acme", 4, 4)
    with monitored.database.connect() as admin:
        admin.execute(f"REVOKE SELECT ON shop.login FROM {READER}".encode())
    next_slot(monitored)
    outcome = monitored.collect()
    assert f"GRANT SELECT ON shop.login TO {READER};" in str(outcome.worst)
    logins.add("acme", 2)
    with monitored.database.connect() as admin:
        admin.execute(f"GRANT SELECT ON shop.login TO {READER}".encode())
    counted(monitored)
    assert stored(monitored) == +logins.truth
    assert stored(monitored, "all_logins")["acme", "count"] == 10


def test_one_that_fails_stops_no_other(monitored: Site) -> None:
    logins = Logins(monitored)
    configure(monitored, event("broken", SQL.replace("shop.login", "shop.nothing")), event())
    outcome = monitored.collect()
    assert "broken" in str(outcome.worst)
    logins.add("acme", 3)
    # Were the other one not due, nothing would be read, and the snapshot not be good.
    next_slot(monitored)
    monitored.collect()
    assert stored(monitored) == +logins.truth
    query = "SELECT status, error LIKE 'broken: %' FROM monitoring.snapshot WHERE metric = 'tenant_events'"
    assert monitored.ask(query) == [("ok", True)] * 2


def test_a_long_gap_is_caught_up_with_in_hours(monitored: Site) -> None:
    logins = Logins(monitored)
    configure(monitored)
    monitored.polled()
    with monitored.database.connect() as admin:
        admin.execute("UPDATE monitoring.counted_window SET counted_until = counted_until - interval '150 minutes'")
    for minutes in (140, 90, 30, 1):
        logins.add("acme", minutes, ago=minutes * 60)
    before = until(monitored)
    steps = []
    for _ in range(3):
        last = until(monitored)
        wait_for(lambda last=last: monitored.polled() and until(monitored) > last)  # type: ignore[misc]
        steps.append((until(monitored) - last).total_seconds())
    assert steps[:2] == [3600, 3600]
    assert steps[2] < 3600
    assert stored(monitored) == +logins.truth
    assert windows(monitored) == pytest.approx((until(monitored) - before).total_seconds() + 1, abs=5)


def test_what_is_years_ago_is_not_caught_up_with(monitored: Site) -> None:
    logins = Logins(monitored)
    configure(monitored)
    monitored.polled()
    with monitored.database.connect() as admin:
        admin.execute("UPDATE monitoring.counted_window SET counted_until = counted_until - interval '1 year'")
    logins.add("acme", 5, ago=30 * 86400, counts=False)
    last = until(monitored)
    wait_for(lambda: monitored.polled() and until(monitored) > last)
    assert monitored.value("SELECT now() - counted_until < interval '7 days' FROM monitoring.counted_window")
    [detail] = monitored.ask("SELECT detail FROM monitoring.event WHERE kind = 'events'")
    assert "too long ago" in detail[0]
    assert stored(monitored) == +logins.truth


def test_a_window_that_another_agent_stored(monitored: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    logins = Logins(monitored)
    configure(monitored)
    monitored.polled()
    real = Writer.write
    last = until(monitored)

    def late(self: Writer, *args: Any, **options: Any) -> Any:
        # In between it was counted up to a moment later.
        monitored.ask("UPDATE monitoring.counted_window SET counted_until = %s RETURNING 1", last + MOMENT)
        return real(self, *args, **options)

    logins.add("acme", 4, counts=False)
    next_slot(monitored)
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write", late)
        monitored.polled()
    assert until(monitored) == last + MOMENT
    assert stored(monitored) == +logins.truth
    # The next one goes on from there, and has them.
    logins.truth.update({("acme", "count"): 4, ("acme", "attempts"): 4})
    counted(monitored)
    assert stored(monitored) == +logins.truth


def test_nothing_is_asked_where_nothing_is_declared(monitored: Site) -> None:
    monitored.configure(metrics={name: {"enabled": name == "server"} for name in METRICS})
    monitored.polled()
    assert monitored.ask("SELECT DISTINCT metric FROM monitoring.snapshot ORDER BY 1") == [("server",)]
