"""What really happened on the target, and whether what was stored says so.

An unmarked figure is the truth; one marked PARTIAL is a lower bound; one marked UNKNOWN is NULL. Where something
happened and no row was stored, the snapshot itself is marked.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sbpgmon.errors import OtherServerError
from sbpgmon.model import PARTIAL, UNKNOWN

DATABASE_COUNTS = ("xact_commit", "xact_rollback", "sessions", "deadlocks")
SINCE_MAJOR = 17  # pg_stat_statements has stats_since from here on


@dataclass(frozen=True)
class Statement:
    """A statement as pg_stat_statements knows it, at the top level."""

    dbid: int
    userid: int
    queryid: int


@dataclass(frozen=True)
class Delta:
    """A row of a metric's view: its quality and its counters, NULL where not known."""

    quality: int
    values: dict[str, int | None]

    @property
    def is_exact(self) -> bool:
        return not self.quality & (PARTIAL | UNKNOWN)

    def __getitem__(self, name: str) -> int | None:
        return self.values[name]


@dataclass
class Seen:
    """What one poll left in the store."""

    rejected: dict[str, str] = field(default_factory=dict)  # metric -> why its reading was not taken
    status: dict[str, str] = field(default_factory=dict)
    quality: dict[str, int | None] = field(default_factory=dict)  # of the snapshots
    interval: dict[str, float | None] = field(default_factory=dict)
    refusal: OtherServerError | None = None
    statements: dict[Statement, Delta] = field(default_factory=dict)
    databases: dict[int, Delta] = field(default_factory=dict)


@dataclass
class Ledger:
    """The truth since the last good snapshot of each metric."""

    databases: dict[str, int] = field(default_factory=dict)  # those that are ours and are there: name -> OID
    statements: dict[Statement, Counter[str]] = field(default_factory=dict)
    counts: dict[int, Counter[str]] = field(default_factory=dict)  # by the database's OID
    in_last: set[Statement] = field(default_factory=set)  # those that the last good snapshot found
    # Reset alone, in a way that no column of the server tells of: see test_resets.
    untold: set[Statement] = field(default_factory=set)

    def ran(self, key: Statement, calls: int, rows: int) -> None:
        self.statements.setdefault(key, Counter()).update(calls=calls, rows=rows)

    def counted(self, database: str, **counts: int) -> None:
        self.counts.setdefault(self.databases[database], Counter()).update(counts)

    def reset_alone(self, key: Statement, major: int) -> None:
        """Notes a reset of one statement: before 17, or where no snapshot had it, no column tells of it."""
        if major < SINCE_MAJOR or key not in self.in_last:
            self.untold.add(key)

    def hold(self, seen: Seen, ours: set[int], found: set[Statement]) -> None:
        """Fails when a figure of `seen` is wrong without a mark; then the next interval begins.

        `ours`: the queryids that count; `found`: what the target has now.
        """
        if seen.status["stat_statements"] == "ok":
            self._hold_statements(seen, ours)
            self.in_last = found
        if seen.status["stat_database"] == "ok":
            self._hold_databases(seen)

    def _hold_statements(self, seen: Seen, ours: set[int]) -> None:
        quality = seen.quality["stat_statements"]
        assert quality is not None
        stored = {key: row for key, row in seen.statements.items() if key.queryid in ours}
        if quality & UNKNOWN:
            assert stored == {}, "a baseline has nothing to tell"
        for key in stored.keys() | self.statements.keys():
            truth = self.statements.get(key, Counter())
            _judge(f"{key}", truth, ("calls", "rows"), stored.get(key), quality, is_untold=key in self.untold)
        self.statements.clear()
        self.untold.clear()

    def _hold_databases(self, seen: Seen) -> None:
        quality = seen.quality["stat_database"]
        assert quality is not None
        for datid in self.counts.keys() | set(self.databases.values()):
            truth = self.counts.get(datid, Counter())
            _judge(f"database {datid}", truth, DATABASE_COUNTS, seen.databases.get(datid), quality)
        self.counts.clear()


def _judge(
    what: str, truth: Counter[str], names: tuple[str, ...], row: Delta | None, quality: int, *, is_untold: bool = False
) -> None:
    shown = f"{what}: stored {row}, true {dict(truth)}, snapshot {quality}"
    if row is None:
        assert quality & (PARTIAL | UNKNOWN) or is_untold or not any(truth.values()), shown
        return
    for name in names:
        value = row[name]
        if row.quality & UNKNOWN:
            assert value is None, shown
        elif row.quality & PARTIAL or is_untold:
            assert value is not None, shown
            assert 0 <= value <= truth[name], shown
        else:
            assert value == truth[name], shown
