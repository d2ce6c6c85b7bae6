"""The fixed part of the schema as SQLAlchemy metadata: what the migrations must arrive at (`alembic check`)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, REAL, TIMESTAMP, UUID

from sbpgmon.store.schema import SCHEMA

metadata = MetaData(schema=SCHEMA)
_TIME = TIMESTAMP(timezone=True)
_EVENTS = "identity, restart, crash, failover, baseline, rebuilt, spool"

control = Table(
    "control",
    metadata,
    Column("only", Boolean, primary_key=True, server_default=text("true"), comment="There is one row"),
    Column("stop_requested_at", _TIME, comment="Set by a rollback: agents end at once and do not come back"),
    Column("stop_reason", Text, comment="Who asked, and why"),
    comment="One row that every agent reads before it writes",
)

target = Table(
    "target",
    metadata,
    Column("target_id", Integer, Identity(always=True), primary_key=True, comment="Stands in the facts"),
    Column("name", Text, nullable=False, comment="Name in the configuration"),
    Column("system_identifier", BigInteger, comment="Of the server that the history is of"),
    Column("database", Text, comment="Database that the agent connects to"),
    Column("server_version", Text, comment="Version at the last change"),
    Column("first_seen", _TIME, nullable=False, server_default=text("now()"), comment="First poll"),
    Column("texts_read_at", _TIME, comment="When statement texts were last fetched"),
    Column(
        "refused_identifier",
        BigInteger,
        comment="Of another server that answers by now: nothing is read until `sbpgmon targets accept`",
    ),
    Column("check_slots", JSONB, nullable=False, server_default=text("'{}'"), comment="Check -> slot of its last run"),
    Column("isolation_fingerprint", Text, comment="Digest of the rows of isolation_element"),
    UniqueConstraint("name", name="target_name_key"),
    comment="Databases that are monitored",
)

metric = Table(
    "metric",
    metadata,
    Column("metric_id", Integer, Identity(always=True), primary_key=True, comment="Stands in the snapshots"),
    Column("name", Text, nullable=False, comment="Name of the SQL file and of the view"),
    Column("title", Text, nullable=False, comment="First line of the SQL file"),
    Column("tier", Text, nullable=False, comment="Finest tier"),
    Column("missing", Text, nullable=False, comment="What an absent row means: zero or unknown"),
    Column("interval_seconds", REAL, nullable=False, comment="Interval of the SQL file"),
    Column("signature", JSONB, nullable=False, comment="Columns: name, kind and type, in the order of the file"),
    Column("definition_hash", Text, nullable=False, comment="Digest of the header, for upgrades"),
    Column(
        "table_version",
        Integer,
        nullable=False,
        server_default=text("1"),
        comment="Rises when a column changes",
    ),
    Column(
        "lost_known_since",
        _TIME,
        comment="Coverage of before does not tell how many polls were lost; NULL: all of it does",
    ),
    UniqueConstraint("name", name="metric_name_key"),
    comment="Metrics that have tables here",
)

derived_view = Table(
    "derived_view",
    metadata,
    Column("name", Text, primary_key=True, comment="Name of the SQL file and of the view"),
    Column("definition_hash", Text, nullable=False, comment="Digest of the file, for upgrades"),
    comment="Views over the metrics, from queries/views/",
)

metric_state = Table(
    "metric_state",
    metadata,
    Column("target_id", Integer, nullable=False),
    Column("metric_id", Integer, nullable=False),
    Column("last_slot", BigInteger, nullable=False, comment="Slot of the last snapshot, good or not"),
    Column("last_ts", _TIME, nullable=False, comment="Time of the last snapshot, good or not"),
    Column("last_agent_time", _TIME, nullable=False, comment="The same by the agent's clock"),
    Column("last_status", String(12), nullable=False, comment="Status of the last snapshot"),
    Column("last_error", String(400), comment="Error of the last snapshot"),
    Column("snapshot_id", BigInteger, comment="Last good snapshot: what M_last holds"),
    Column("snapshot_ts", _TIME, comment="Time of the last good snapshot"),
    Column("snapshot_target_time", _TIME, comment="The same by the target's clock"),
    Column("snapshot_agent_time", _TIME, comment="The same by the agent's clock"),
    Column("snapshot_rows", Integer, comment="Rows of the last good snapshot"),
    Column("snapshot_duration_seconds", REAL, comment="Time that the last good snapshot took"),
    Column("postmaster_start_time", _TIME, comment="At the last good snapshot: a change makes a reset possible"),
    Column("checkpointer_start_time", _TIME, comment="Changes with a crash recovery too"),
    Column("system_identifier", BigInteger, comment="Another one is another server: its counters are not compared"),
    Column("timeline", Integer, comment="Changes with a promotion"),
    Column("is_standby", Boolean, comment="Primary or standby"),
    Column("losses", String(100), comment="Loss columns of the last good snapshot: a change means that rows were lost"),
    Column(
        "lacks",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="Column -> until when it was lacking",
    ),
    PrimaryKeyConstraint("target_id", "metric_id", name="metric_state_pkey"),
    comment="Where each metric of each target stands",
)

# Emptied by a crash of the store, like the M_last tables: tells whether they can be trusted.
last_state = Table(
    "last_state",
    metadata,
    Column("target_id", Integer, nullable=False),
    Column("metric_id", Integer, nullable=False),
    Column("snapshot_id", BigInteger, nullable=False, comment="Snapshot whose counters M_last holds"),
    PrimaryKeyConstraint("target_id", "metric_id", name="last_state_pkey"),
    prefixes=["UNLOGGED"],
    comment="Which snapshot the unlogged M_last tables hold",
)

snapshot_id = Sequence("snapshot_snapshot_id_seq", metadata=metadata)

snapshot_log = Table(
    "snapshot_log",
    metadata,
    Column("ts", _TIME, nullable=False, comment="Time of the reading; joins the facts"),
    Column("snapshot_id", BigInteger, nullable=False),
    Column("slot", BigInteger, nullable=False, comment="Slot of the metric's grid"),
    Column("target_id", Integer, nullable=False),
    Column("metric_id", Integer, nullable=False),
    Column("interval_seconds", REAL, comment="Since the last good snapshot; NULL for a baseline"),
    Column("nominal_interval_seconds", REAL, comment="Configured interval"),
    Column("skew_seconds", REAL, comment="The target's clock less the agent's"),
    Column("duration_seconds", REAL, comment="Time that the reading took"),
    Column("rows", Integer, comment="Rows that were read"),
    Column("facts", Integer, comment="Rows that were stored"),
    Column("bytes", Integer, comment="Bytes that were read"),
    Column("quality", SmallInteger, comment="0 good; bits: 1 partial, 2 unknown (a baseline), 4 gap"),
    Column("status", String(12), nullable=False, comment="ok, error, unreachable, refused or skipped"),
    Column("error", String(400)),
    Index("snapshot_log_metric_target_ts", "metric_id", "target_id", "ts"),
    # Failures, gaps and baselines: a few among millions.
    Index("snapshot_log_not_good_ts", "ts", postgresql_where=text("status <> 'ok' OR quality <> 0")),
    postgresql_partition_by="RANGE (ts)",
    comment="Every snapshot, also when it failed; read it through the view snapshot",
)

lease = Table(
    "lease",
    metadata,
    Column("target_id", Integer, primary_key=True, autoincrement=False),
    Column("holder", Text, nullable=False, comment="host:pid:random of the agent"),
    Column("expires_at", _TIME, nullable=False),
    comment="Which agent polls a target; one at a time",
)

statement_text = Table(
    "statement_text",
    metadata,
    Column("text_id", Integer, Identity(always=True), primary_key=True),
    Column("text_hash", UUID, nullable=False, comment="MD5 of the text"),
    Column("query", Text, nullable=False, comment="Normalized; literals of utility statements are taken out"),
    UniqueConstraint("text_hash", name="statement_text_hash_key"),
    comment="Statement texts, each once",
)

statement_text_of = Table(
    "statement_text_of",
    metadata,
    Column("series_id", Integer, primary_key=True, autoincrement=False, comment="Of stat_statements_series"),
    Column("target_id", Integer, nullable=False),
    Column("text_id", Integer, nullable=False),
    Index("statement_text_of_target", "target_id"),
    comment="Which text a series of stat_statements has",
)

event = Table(
    "event",
    metadata,
    Column("event_id", BigInteger, Identity(always=True), primary_key=True),
    Column("ts", _TIME, nullable=False, server_default=text("clock_timestamp()")),
    Column("target_id", Integer),
    Column("kind", Text, nullable=False, comment=f"{_EVENTS}, guard, isolation, events"),
    Column("detail", Text, nullable=False),
    comment="What happened to the targets and to the history itself",
)

rollup = Table(
    "rollup",
    metadata,
    Column("metric_id", Integer, nullable=False),
    Column("tier", Text, nullable=False, comment="raw, 1m, 5m, 1h or 1d"),
    Column("retention_seconds", Double, comment="How long it is kept; NULL: forever"),
    Column(
        "watermark",
        _TIME,
        comment="Up to here the tier is rolled up; NULL for the finest, and where there is nothing yet",
    ),
    Column("dropped_until", _TIME, comment="Rows before it are gone; NULL: none is"),
    Column("rolled_at", _TIME, comment="Last roll-up"),
    Column("rows", Integer, comment="Rows that the last roll-up stored"),
    Column("seconds", REAL, comment="Time that it took"),
    PrimaryKeyConstraint("metric_id", "tier", name="rollup_pkey"),
    comment="Tiers of each metric: how long they are kept, and how far they are rolled up",
)

late_bucket = Table(
    "late_bucket",
    metadata,
    Column("metric_id", Integer, nullable=False),
    Column("tier", Text, nullable=False),
    Column("target_id", Integer, nullable=False),
    Column("ts", _TIME, nullable=False, comment="Start of the bucket"),
    PrimaryKeyConstraint("metric_id", "tier", "target_id", "ts", name="late_bucket_pkey"),
    comment="Buckets that rows were added to after their roll-up; the next roll-up makes one row of them again",
)

# No NOT NULL: on 18 each is an object of every partition, which a DROP has to lock.
coverage = {
    tier: Table(
        f"coverage_{tier}",
        metadata,
        Column("ts", _TIME, comment="Start of the bucket"),
        Column("target_id", Integer),
        Column("metric_id", Integer),
        Column("polls", Integer, comment="Good snapshots"),
        Column("covered_seconds", Double, comment="Sum of their intervals"),
        # As in facts: zeros would cost eight bytes a row.
        Column("lost", Integer, comment="Snapshots that did not reach the target; NULL: 0"),
        Index(f"coverage_{tier}_metric_target_ts", "metric_id", "target_id", "ts"),
        postgresql_partition_by="RANGE (ts)",
        comment=f"How much of each bucket of {tier} was watched; read it through the view coverage",
    )
    for tier in ("1m", "5m", "1h", "1d")
}
