"""The rest of the fixed part: what is known of the tenants' isolation. `metadata` holds all tables, these included."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, REAL, TIMESTAMP, UUID

from sbpgmon.store.tables import metadata as metadata

_TIME = TIMESTAMP(timezone=True)

finding_log = Table(
    "finding_log",
    metadata,
    Column("finding_id", BigInteger, Identity(always=True), primary_key=True),
    Column("target_id", Integer, nullable=False),
    Column("check_name", Text, nullable=False, comment="Name of the SQL file"),
    Column("key", Text, nullable=False, comment="The same from run to run"),
    Column("key_hash", UUID, nullable=False, comment="MD5 of the key"),
    Column("status", String(8), nullable=False, comment="fail or unknown"),
    Column("severity", String(2), nullable=False, comment="P0 (worst) to P3"),
    Column("object", Text, nullable=False, comment="What it is about"),
    Column("role", Text, nullable=False, comment="Who could use it"),
    Column("detail", Text, nullable=False, comment="What a tenant could do with it"),
    Column("remedy", Text, nullable=False, comment="What mends it"),
    Column("is_heuristic", Boolean, nullable=False, comment="Told by text alone"),
    Column("allowed", Text, comment="Why it is let be"),
    Column("first_seen", _TIME, nullable=False, comment="When it was seen for the first time ever"),
    Column("opened_at", _TIME, nullable=False, comment="When it was seen first, of this time"),
    Column("last_seen", _TIME, nullable=False, comment="When it was seen last"),
    Column("seen", Integer, nullable=False, server_default=text("1"), comment="How often"),
    Column("closed_at", _TIME, comment="When it was not there any more"),
    Column("closed_because", Text, comment="gone, or not looked for any more"),
    Index(
        "finding_log_open",
        "target_id",
        "check_name",
        "key_hash",
        unique=True,
        postgresql_where=text("closed_at IS NULL"),
    ),
    Index("finding_log_key", "target_id", "key_hash"),
    comment="Findings, each time that one was open; read it through the view finding",
)

check_state = Table(
    "check_state",
    metadata,
    Column("target_id", Integer, nullable=False),
    Column("check_name", Text, nullable=False, comment="Name of the SQL file"),
    Column("last_run", _TIME, nullable=False, comment="Time of the last run"),
    Column("status", String(8), nullable=False, comment="pass, fail or unknown"),
    Column("fails", Integer, nullable=False, comment="Findings that fail and are not allowed"),
    Column("unknowns", Integer, nullable=False, comment="Findings that are unknown"),
    Column("allowed", Integer, nullable=False, comment="Findings that are let be"),
    Column("seconds", REAL, nullable=False, comment="Time that the last run took"),
    Column("sweep", JSONB, comment="Of a check of data: how far it has come"),
    PrimaryKeyConstraint("target_id", "check_name", name="check_state_pkey"),
    comment="Where each check of each target stands; read it through the view isolation_check",
)

counted_window = Table(
    "counted_window",
    metadata,
    Column("target_id", Integer, nullable=False),
    Column("metric_id", Integer, nullable=False),
    Column("name", Text, nullable=False, comment="What is counted: the first key of the metric"),
    Column("counted_until", _TIME, nullable=False, comment="End of the last window that is stored"),
    PrimaryKeyConstraint("target_id", "metric_id", "name", name="counted_window_pkey"),
    comment="Up to where the application's events are counted: the next window begins there",
)

isolation_element = Table(
    "isolation_element",
    metadata,
    Column("target_id", Integer, nullable=False),
    Column("kind", Text, nullable=False, comment="table, policy, view, membership, setting, …"),
    Column("object", Text, nullable=False),
    Column("definition", Text, nullable=False, comment="As the catalog has it"),
    PrimaryKeyConstraint("target_id", "kind", "object", name="isolation_element_pkey"),
    comment="What keeps tenants apart on each target, as it was seen last: a change is an event",
)
