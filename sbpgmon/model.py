"""The values that travel between the rooms: frozen, typed, without behaviour of their own beyond small facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from sbpgmon.errors import OtherServerError
from sbpgmon.findings import IsolationReading


class Kind(StrEnum):
    """What a metric's column is, which decides how it is stored."""

    KEY = "key"  # identity of a series; never NULL
    COUNTER = "counter"  # only grows; stored as a delta
    GAUGE = "gauge"  # stored as read
    INFO = "info"  # stored when it changes
    RESET = "reset"  # when the row's counters were last reset
    LOSS = "loss"  # one value of the whole reading: when it moves, rows were dropped, or began anew


class Status(StrEnum):
    """How a snapshot ended."""

    OK = "ok"
    ERROR = "error"  # the metric's query failed
    UNREACHABLE = "unreachable"  # the target could not be asked
    REFUSED = "refused"  # another server answers than the history is of
    SKIPPED = "skipped"  # not for this target: a primary's metric on a standby, or the other way round


LOST = (Status.UNREACHABLE, Status.REFUSED)  # polls that did not reach the target

# Bits of a fact's `quality`; 0 is good.
PARTIAL = 1  # a lower bound: something before a reset could not be seen
UNKNOWN = 2  # not known; the views show NULL
GAP = 4  # right, but over more than three nominal intervals


@dataclass(frozen=True, slots=True)
class Type:
    """A column type of the SQL file contract: its OID as the server describes it."""

    name: str
    oid: int
    is_text: bool = False


TYPES = {
    t.name: t
    for t in (
        Type("boolean", 16),
        Type("bigint", 20),
        Type("smallint", 21),
        Type("integer", 23),
        Type("text", 25, is_text=True),
        Type("oid", 26),
        Type("real", 700),
        Type("double precision", 701),
        Type("timestamptz", 1184),
        Type("numeric", 1700),
    )
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column that a metric's query returns."""

    name: str
    kind: Kind
    type: Type
    description: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a target must offer: a role (`extension` empty), or an extension of at least `version`."""

    role: str = ""
    extension: str = ""
    version: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.role:
            return self.role
        return f"extension {self.extension} {'.'.join(map(str, self.version))}".strip()


@dataclass(frozen=True, slots=True)
class Variant:
    """One SQL text of a metric, for servers of at least `major` or extensions of at least `extension_version`."""

    path: Path
    sql: str
    major: int = 0
    extension_version: tuple[int, ...] = ()
    lacks: frozenset[str] = frozenset()  # columns that are a constant NULL here

    @property
    def rank(self) -> tuple[int, tuple[int, ...]]:
        return self.major, self.extension_version


AGENT = "agent"  # a metric's source: the agent makes the rows itself


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: the header of its lowest variant, and all variants, lowest first."""

    name: str
    title: str
    description: str
    interval_seconds: float
    scope: str
    role: str
    requires: tuple[Requirement, ...]
    missing: str  # what an absent row means: zero or unknown
    nulls: str  # what a NULL counter means: zero or unknown
    timeout_seconds: float
    columns: tuple[Column, ...]
    variants: tuple[Variant, ...]
    resets_are: str = "certain"  # what a reset column that moved says: certain or possible
    chosen_tiers: tuple[str, ...] = ()  # the file's `tiers:`
    source: str = ""  # the metric whose snapshots it is made of, in the store; `agent`; empty: it is read on targets
    only_with: str = ""  # a table of the schema's own: only for targets that have a row there
    uses: tuple[str, ...] = ()  # parts of queries/checks/parts that the query reads; only where [tenancy] is declared
    fresh: str = "counts"  # what a row counts that was not there before: all of it (counts), or unknown
    has_deltas: bool = False  # its counters come as differences

    @property
    def is_derived(self) -> bool:
        """Made in the store, of another metric's snapshots."""
        return self.source not in ("", AGENT)

    @property
    def has_last(self) -> bool:
        """The store keeps its last counters, to tell differences."""
        return bool(self.counters) and not (self.has_deltas or self.is_derived)

    def of_kind(self, *kinds: Kind) -> tuple[Column, ...]:
        return tuple(c for c in self.columns if c.kind in kinds)

    @property
    def keys(self) -> tuple[Column, ...]:
        return self.of_kind(Kind.KEY)

    @property
    def counters(self) -> tuple[Column, ...]:
        return self.of_kind(Kind.COUNTER)

    @property
    def gauges(self) -> tuple[Column, ...]:
        return self.of_kind(Kind.GAUGE)

    @property
    def infos(self) -> tuple[Column, ...]:
        return self.of_kind(Kind.INFO)

    @property
    def resets(self) -> tuple[Column, ...]:
        return self.of_kind(Kind.RESET)

    @property
    def losses(self) -> tuple[Column, ...]:
        return self.of_kind(Kind.LOSS)

    @property
    def facts(self) -> tuple[Column, ...]:
        return self.of_kind(Kind.COUNTER, Kind.GAUGE)

    @property
    def tier(self) -> str:
        """The finest tier, which holds every reading."""
        return self.tiers[0]

    @property
    def tiers(self) -> tuple[str, ...]:
        """Where its history is kept, finest first: the file's choice, else what fits its interval, up to hours."""
        if self.chosen_tiers:
            return self.chosen_tiers
        coarsest_fit = [name for name, seconds in TIER_SECONDS.items() if seconds <= self.interval_seconds][-1]
        names = list(TIER_SECONDS)
        return tuple(names[names.index(coarsest_fit) : max(names.index("1h"), names.index(coarsest_fit)) + 1])


# A tier's resolution in seconds; `raw` holds every reading.
TIER_SECONDS = {"raw": 0, "1m": 60, "5m": 300, "1h": 3600, "1d": 86400}


@dataclass(frozen=True, slots=True)
class View:
    """A derived view of the store: one SQL file of queries/views/."""

    name: str
    title: str
    description: str
    needs: tuple[str, ...]  # the metrics and views it reads
    columns: tuple[tuple[str, str], ...]  # name, description
    sql: str
    path: Path


@dataclass(frozen=True, slots=True)
class Server:
    """What a target said of itself at the beginning of a poll."""

    version_num: int
    version: str
    database: str
    role: str
    is_superuser: bool
    is_standby: bool
    roles: frozenset[str]  # predefined roles whose privileges it has
    encoding: str
    system_identifier: int
    timeline: int
    postmaster_start_time: datetime
    # Changes with every crash recovery, when postmaster_start_time does not.
    checkpointer_start_time: datetime | None
    extensions: dict[str, tuple[str, tuple[int, ...]]]  # name -> schema, version
    writable: tuple[str, ...]  # user objects that the role could write to: must be empty
    pooled: bool  # a pooler stands in between
    is_statements_loaded: bool  # pg_stat_statements is in shared_preload_libraries

    @property
    def has_pg_monitor(self) -> bool:
        return "pg_monitor" in self.roles

    @property
    def major(self) -> int:
        return self.version_num // 10000


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time in which something was counted: its beginning is outside, its end inside."""

    name: str  # of what was counted: the first key of the metric
    since: datetime
    until: datetime
    after: datetime | None = None  # up to where it was counted before; None: it never was


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric as one target gave it: binary COPY bytes, or why there are none."""

    metric: str
    slot: int
    target_time: datetime | None
    agent_time: datetime
    interval_seconds: float
    duration_seconds: float
    status: Status
    error: str = ""
    rows: int = 0
    data: bytes = b""
    columns: tuple[tuple[str, str], ...] = ()  # name, type: as the bytes have them
    lacks: tuple[str, ...] = ()
    windows: tuple[Window, ...] = ()  # of a metric whose counters are differences: each is stored once


@dataclass(frozen=True, slots=True)
class StatementText:
    """The text of one pg_stat_statements entry."""

    dbid: int
    userid: int
    queryid: int
    toplevel: bool
    query: str


@dataclass(frozen=True, slots=True)
class TargetPoll:
    """All that one poll read on one target. `server` is None when the target could not be asked."""

    target: str
    server: Server | None
    readings: tuple[Reading, ...]
    texts: tuple[StatementText, ...] = ()
    texts_read: bool = False  # all that were wanted
    error: str = ""
    isolation: IsolationReading | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A metric that is due on a target: the slot of its grid, and its interval there."""

    metric: Metric
    slot: int
    interval_seconds: float
    counted: Mapping[str, datetime] | None = (
        None  # of one with differences: what is counted -> up to where it is stored
    )


@dataclass(slots=True)
class WriteResult:
    """What the store did with one target's poll."""

    snapshots: int = 0
    rows_read: int = 0
    facts: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)  # metric, why it could not be stored
    notes: list[tuple[str, str]] = field(default_factory=list)  # metric, what is to be known
    refusal: OtherServerError | None = None  # why nothing of it was stored
    findings: list[str] = field(default_factory=list)  # that opened or closed


@dataclass(frozen=True, slots=True)
class Weight:
    """What the agent cost a target over some stretch, by pg_stat_statements; times in ms, as there."""

    seconds: float
    all_ms: float  # execution and planning of all statements
    own_ms: float  # of the agent's, the store's writes included
    store_ms: float
    own_calls: int
    readings: Mapping[str, tuple[int, float]]  # metric -> readings, ms
    waited: Mapping[str, tuple[int, float]]  # the same by the agent's clock, the network included
