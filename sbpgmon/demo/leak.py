"""A leak: a policy that is replaced in a hurry, so that a report reads every tenant's ledger; and its mending."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import psycopg

# What an operator may do at night to get a report through.
PLANT = """
set lock_timeout = '20s';
begin;
drop policy tenant_isolation on app.ledger;
create policy month_end on app.ledger using (true) with check (true);
commit;
"""
MEND = """
set lock_timeout = '20s';
begin;
drop policy month_end on app.ledger;
create policy tenant_isolation on app.ledger
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::integer)
    with check (tenant_id = nullif(current_setting('app.tenant_id', true), '')::integer);
commit;
"""
# Of the policy, and of the report.
EXPECTED = {"rls_policy_always_true", "cross_tenant_queries"}

# A finding is opened as of the beginning of the poll that sees it, which may lie before the leak.
_FINDINGS = """
select f.check_name, f.severity, f.object, min(f.opened_at), case when bool_and(not f.is_open) then max(f.closed_at) end
from monitoring.finding as f
where f.target = %s and f.last_seen >= %s and f.status = 'fail' and f.object = 'app.ledger'
group by f.check_name, f.severity, f.object
order by 4, 2, 1
"""


@dataclass(frozen=True)
class Seen:
    """What one check of the agent found on one table, and when; `closed_at` is None while any of it is open."""

    check: str
    severity: str
    object: str
    opened_at: datetime
    closed_at: datetime | None


@dataclass
class Leak:
    """The leak in the database of `superuser_dsn`, as the reader of `monitoring` at `reader_dsn` sees it."""

    superuser_dsn: str
    reader_dsn: str
    target: str

    def plant(self) -> datetime:
        """Opens it; returns when."""
        return self._run(PLANT)

    def mend(self) -> datetime:
        """Closes it; returns when."""
        return self._run(MEND)

    def seen(self, since: datetime) -> list[Seen]:
        """What the agent has found of it, open or closed."""
        with psycopg.connect(self.reader_dsn, autocommit=True, connect_timeout=5) as connection:
            return [Seen(*row) for row in connection.execute(_FINDINGS, [self.target, since])]

    def wait(
        self, since: datetime, *, is_open: bool, patience_seconds: float, look: Callable[[], None]
    ) -> list[Seen] | None:
        """Waits until the agent has found it, or seen it gone; None when it does not. `look` is called meanwhile."""
        until = time.monotonic() + patience_seconds
        while time.monotonic() < until:
            look()
            found = self.seen(since)
            is_there = {f.check for f in found} >= EXPECTED
            if is_there and (is_open or all(f.closed_at is not None for f in found)):
                return found
            time.sleep(0.5)
        return None

    def _run(self, script: str) -> datetime:
        with psycopg.connect(self.superuser_dsn, autocommit=True, connect_timeout=5) as connection:
            row = connection.execute("select clock_timestamp()").fetchone()
            connection.execute(script.encode())
            assert row is not None
            began: datetime = row[0]
            return began
