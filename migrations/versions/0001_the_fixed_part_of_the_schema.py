"""The fixed part of the schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "control",
        sa.Column("only", sa.Boolean(), server_default=sa.text("true"), nullable=False, comment="There is one row"),
        sa.Column(
            "stop_requested_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Set by a rollback: agents end at once and do not come back",
        ),
        sa.Column("stop_reason", sa.Text(), nullable=True, comment="Who asked, and why"),
        sa.PrimaryKeyConstraint("only"),
        schema="monitoring",
        comment="One row that every agent reads before it writes",
    )
    op.create_table(
        "derived_view",
        sa.Column("name", sa.Text(), nullable=False, comment="Name of the SQL file and of the view"),
        sa.Column("definition_hash", sa.Text(), nullable=False, comment="Digest of the file, for upgrades"),
        sa.PrimaryKeyConstraint("name"),
        schema="monitoring",
        comment="Views over the metrics, from queries/views/",
    )
    op.create_table(
        "event",
        sa.Column("event_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "ts",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("target_id", sa.Integer(), nullable=True),
        sa.Column(
            "kind",
            sa.Text(),
            nullable=False,
            comment="identity, restart, crash, failover, baseline, rebuilt, spool",
        ),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        schema="monitoring",
        comment="What happened to the targets and to the history itself",
    )
    op.create_table(
        "last_state",
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("metric_id", sa.Integer(), nullable=False),
        sa.Column("snapshot_id", sa.BigInteger(), nullable=False, comment="Snapshot whose counters M_last holds"),
        sa.PrimaryKeyConstraint("target_id", "metric_id", name="last_state_pkey"),
        schema="monitoring",
        comment="Which snapshot the unlogged M_last tables hold",
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "lease",
        sa.Column("target_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False, comment="host:pid:random of the agent"),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("target_id"),
        schema="monitoring",
        comment="Which agent polls a target; one at a time",
    )
    op.create_table(
        "metric",
        sa.Column(
            "metric_id",
            sa.Integer(),
            sa.Identity(always=True),
            nullable=False,
            comment="Stands in the snapshots",
        ),
        sa.Column("name", sa.Text(), nullable=False, comment="Name of the SQL file and of the view"),
        sa.Column("title", sa.Text(), nullable=False, comment="First line of the SQL file"),
        sa.Column("tier", sa.Text(), nullable=False, comment="Finest tier"),
        sa.Column("missing", sa.Text(), nullable=False, comment="What an absent row means: zero or unknown"),
        sa.Column("interval_seconds", sa.REAL(), nullable=False, comment="Interval of the SQL file"),
        sa.Column(
            "signature",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Columns: name, kind and type, in the order of the file",
        ),
        sa.Column("definition_hash", sa.Text(), nullable=False, comment="Digest of the header, for upgrades"),
        sa.Column(
            "table_version",
            sa.Integer(),
            server_default=sa.text("1"),
            nullable=False,
            comment="Rises when a column changes",
        ),
        sa.PrimaryKeyConstraint("metric_id"),
        sa.UniqueConstraint("name", name="metric_name_key"),
        schema="monitoring",
        comment="Metrics that have tables here",
    )
    op.create_table(
        "metric_state",
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("metric_id", sa.Integer(), nullable=False),
        sa.Column("last_slot", sa.BigInteger(), nullable=False, comment="Slot of the last snapshot, good or not"),
        sa.Column(
            "last_ts",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="Time of the last snapshot, good or not",
        ),
        sa.Column(
            "last_agent_time",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="The same by the agent's clock",
        ),
        sa.Column("last_status", sa.String(length=12), nullable=False, comment="Status of the last snapshot"),
        sa.Column("last_error", sa.String(length=400), nullable=True, comment="Error of the last snapshot"),
        sa.Column("snapshot_id", sa.BigInteger(), nullable=True, comment="Last good snapshot: what M_last holds"),
        sa.Column(
            "snapshot_ts",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Time of the last good snapshot",
        ),
        sa.Column(
            "snapshot_target_time",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="The same by the target's clock",
        ),
        sa.Column(
            "snapshot_agent_time",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="The same by the agent's clock",
        ),
        sa.Column("snapshot_rows", sa.Integer(), nullable=True, comment="Rows of the last good snapshot"),
        sa.Column(
            "snapshot_duration_seconds",
            sa.REAL(),
            nullable=True,
            comment="Time that the last good snapshot took",
        ),
        sa.Column(
            "postmaster_start_time",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="At the last good snapshot: a change makes a reset possible",
        ),
        sa.Column(
            "checkpointer_start_time",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Changes with a crash recovery too",
        ),
        sa.Column(
            "system_identifier",
            sa.BigInteger(),
            nullable=True,
            comment="Another one is another server: its counters are not compared",
        ),
        sa.Column("timeline", sa.Integer(), nullable=True, comment="Changes with a promotion"),
        sa.Column("is_standby", sa.Boolean(), nullable=True, comment="Primary or standby"),
        sa.Column(
            "losses",
            sa.String(length=100),
            nullable=True,
            comment="Loss columns of the last good snapshot: a change means that rows were lost",
        ),
        sa.Column(
            "lacks",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="Column -> until when it was lacking",
        ),
        sa.PrimaryKeyConstraint("target_id", "metric_id", name="metric_state_pkey"),
        schema="monitoring",
        comment="Where each metric of each target stands",
    )
    op.create_table(
        "snapshot_log",
        sa.Column(
            "ts",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="Time of the reading; joins the facts",
        ),
        sa.Column("snapshot_id", sa.BigInteger(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False, comment="Slot of the metric's grid"),
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("metric_id", sa.Integer(), nullable=False),
        sa.Column(
            "interval_seconds",
            sa.REAL(),
            nullable=True,
            comment="Since the last good snapshot; NULL for a baseline",
        ),
        sa.Column("nominal_interval_seconds", sa.REAL(), nullable=True, comment="Configured interval"),
        sa.Column("skew_seconds", sa.REAL(), nullable=True, comment="The target's clock less the agent's"),
        sa.Column("duration_seconds", sa.REAL(), nullable=True, comment="Time that the reading took"),
        sa.Column("rows", sa.Integer(), nullable=True, comment="Rows that were read"),
        sa.Column("facts", sa.Integer(), nullable=True, comment="Rows that were stored"),
        sa.Column("bytes", sa.Integer(), nullable=True, comment="Bytes that were read"),
        sa.Column(
            "quality",
            sa.SmallInteger(),
            nullable=True,
            comment="0 good; bits: 1 partial, 2 unknown (a baseline), 4 gap",
        ),
        sa.Column("status", sa.String(length=12), nullable=False, comment="ok, error, unreachable or skipped"),
        sa.Column("error", sa.String(length=400), nullable=True),
        schema="monitoring",
        comment="Every snapshot, also when it failed; read it through the view snapshot",
        postgresql_partition_by="RANGE (ts)",
    )
    op.create_index(
        "snapshot_log_metric_target_ts",
        "snapshot_log",
        ["metric_id", "target_id", "ts"],
        unique=False,
        schema="monitoring",
    )
    op.create_table(
        "statement_text",
        sa.Column("text_id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("text_hash", sa.UUID(), nullable=False, comment="MD5 of the text"),
        sa.Column(
            "query",
            sa.Text(),
            nullable=False,
            comment="Normalized; literals of utility statements are taken out",
        ),
        sa.PrimaryKeyConstraint("text_id"),
        sa.UniqueConstraint("text_hash", name="statement_text_hash_key"),
        schema="monitoring",
        comment="Statement texts, each once",
    )
    op.create_table(
        "statement_text_of",
        sa.Column(
            "series_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Of stat_statements_series",
        ),
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("text_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("series_id"),
        schema="monitoring",
        comment="Which text a series of stat_statements has",
    )
    op.create_index("statement_text_of_target", "statement_text_of", ["target_id"], unique=False, schema="monitoring")
    op.create_table(
        "target",
        sa.Column("target_id", sa.Integer(), sa.Identity(always=True), nullable=False, comment="Stands in the facts"),
        sa.Column("name", sa.Text(), nullable=False, comment="Name in the configuration"),
        sa.Column(
            "system_identifier",
            sa.BigInteger(),
            nullable=True,
            comment="Of the server that the history is of",
        ),
        sa.Column("database", sa.Text(), nullable=True, comment="Database that the agent connects to"),
        sa.Column("server_version", sa.Text(), nullable=True, comment="Version at the last change"),
        sa.Column(
            "first_seen",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="First poll",
        ),
        sa.Column(
            "texts_read_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When statement texts were last fetched",
        ),
        sa.PrimaryKeyConstraint("target_id"),
        sa.UniqueConstraint("name", name="target_name_key"),
        schema="monitoring",
        comment="Databases that are monitored",
    )
    op.execute("CREATE SEQUENCE monitoring.snapshot_snapshot_id_seq")
    op.execute("COMMENT ON SEQUENCE monitoring.snapshot_snapshot_id_seq IS 'Numbers of the snapshots'")
    # Far from where another schema's numbers begin: a state folder must never take one schema's for another's.
    op.execute("SELECT setval('monitoring.snapshot_snapshot_id_seq', (1 + random() * 1e15)::bigint)")
    op.execute("INSERT INTO monitoring.control DEFAULT VALUES")


def downgrade() -> None:
    op.drop_table("target", schema="monitoring")
    op.drop_index("statement_text_of_target", table_name="statement_text_of", schema="monitoring")
    op.drop_table("statement_text_of", schema="monitoring")
    op.drop_table("statement_text", schema="monitoring")
    op.drop_index("snapshot_log_metric_target_ts", table_name="snapshot_log", schema="monitoring")
    op.drop_table("snapshot_log", schema="monitoring")
    op.drop_table("metric_state", schema="monitoring")
    op.drop_table("metric", schema="monitoring")
    op.drop_table("lease", schema="monitoring")
    op.drop_table("last_state", schema="monitoring")
    op.drop_table("event", schema="monitoring")
    op.drop_table("derived_view", schema="monitoring")
    op.drop_table("control", schema="monitoring")
    op.execute("DROP SEQUENCE monitoring.snapshot_snapshot_id_seq")
