"""The rest of the fixed part: what statements do about tenants. `metadata` holds all tables, these included."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

from sbpgmon.store.isolation_tables import metadata as metadata

_TIME = TIMESTAMP(timezone=True)

tenancy_look = Table(
    "tenancy_look",
    metadata,
    Column("target_id", Integer, nullable=False),
    Column("seen_from", _TIME, nullable=False, comment="First look that found it so"),
    Column("seen_to", _TIME, nullable=False, comment="Last look that found it so"),
    Column("dbid", BigInteger, nullable=False, comment="OID of the database that it is of"),
    Column("digest", Text, nullable=False, comment="Of all of it"),
    Column("structure", Text, nullable=False, comment="Of what the verdict on a text depends on"),
    Column("ground", JSONB, nullable=False, comment="Relations, roles, allowances"),
    Column("is_applied", Boolean, nullable=False, server_default=text("false"), comment="All statements stand by it"),
    PrimaryKeyConstraint("target_id", "seen_from", name="tenancy_look_pkey"),
    comment="What statements are judged by, and from when to when it was seen to be so",
)

statement_judgement = Table(
    "statement_judgement",
    metadata,
    Column("judgement_id", Integer, Identity(always=True), primary_key=True),
    Column("target_id", Integer, nullable=False),
    Column("text_id", Integer, nullable=False),
    Column("path", Text, nullable=False, comment="Schemas in which names without one are looked up"),
    Column("structure", Text, nullable=False, comment="Digest of what it was judged by"),
    Column("verdict", Text, nullable=False, comment="On the text alone"),
    Column("relation", Text, nullable=False, comment="Table that decided it"),
    Column("reason", Text, nullable=False),
    Column("relations", ARRAY(Text), nullable=False, comment="Tenants' tables that it touches"),
    Column("tenants", ARRAY(Text), nullable=False, comment="Whose schemas it touches"),
    Column("tags", ARRAY(Text), nullable=False, comment="What its comments say"),
    Column("sets_session_context", Boolean, nullable=False),
    Column("is_beyond_rls", Boolean, nullable=False, comment="No policy is asked"),
    UniqueConstraint("target_id", "text_id", "path", name="statement_judgement_text_key"),
    comment="Verdict on each text on each target, as it was judged last",
)

statement_standing = Table(
    "statement_standing",
    metadata,
    Column("series_id", Integer, nullable=False, comment="Of stat_statements_series"),
    Column("valid_from", _TIME, nullable=False, comment="Holds for what was counted after it"),
    Column("valid_to", _TIME, nullable=False, comment="And up to it; infinity: now"),
    Column("target_id", Integer, nullable=False),
    Column("judgement_id", Integer, nullable=False),
    Column("verdict", Text, nullable=False, comment="With its role, row level security and allowances"),
    Column("check_name", Text, comment="Check that it fails"),
    Column("allowed", Text, comment="Why that is let be"),
    Column("calls", BigInteger, comment="Of those that fail: calls since valid_from"),
    Column("last_called", _TIME, comment="Of those that fail: last snapshot with a call"),
    PrimaryKeyConstraint("series_id", "valid_from", name="statement_standing_pkey"),
    Index(
        "statement_standing_failing",
        "target_id",
        postgresql_where=text("check_name IS NOT NULL AND valid_to = 'infinity'::timestamptz"),
    ),
    comment="Where each statement stood when; read it through the view statement_verdict",
)
