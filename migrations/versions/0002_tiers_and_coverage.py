"""Tiers, watermarks and coverage."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIERS = ("1m", "5m", "1h", "1d")


def upgrade() -> None:
    op.create_table(
        "rollup",
        sa.Column("metric_id", sa.Integer(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False, comment="raw, 1m, 5m, 1h or 1d"),
        sa.Column("retention_seconds", sa.Double(), nullable=True, comment="How long it is kept; NULL: forever"),
        sa.Column(
            "watermark",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Up to here the tier is rolled up; NULL for the finest, and where there is nothing yet",
        ),
        sa.Column(
            "dropped_until",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Rows before it are gone; NULL: none is",
        ),
        sa.Column("rolled_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="Last roll-up"),
        sa.Column("rows", sa.Integer(), nullable=True, comment="Rows that the last roll-up stored"),
        sa.Column("seconds", sa.REAL(), nullable=True, comment="Time that it took"),
        sa.PrimaryKeyConstraint("metric_id", "tier", name="rollup_pkey"),
        schema="monitoring",
        comment="Tiers of each metric: how long they are kept, and how far they are rolled up",
    )
    op.create_table(
        "late_bucket",
        sa.Column("metric_id", sa.Integer(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("ts", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="Start of the bucket"),
        sa.PrimaryKeyConstraint("metric_id", "tier", "target_id", "ts", name="late_bucket_pkey"),
        schema="monitoring",
        comment="Buckets that rows were added to after their roll-up; the next roll-up makes one row of them again",
    )
    for tier in _TIERS:
        op.create_table(
            f"coverage_{tier}",
            sa.Column("ts", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="Start of the bucket"),
            sa.Column("target_id", sa.Integer(), nullable=True),
            sa.Column("metric_id", sa.Integer(), nullable=True),
            sa.Column("polls", sa.Integer(), nullable=True, comment="Good snapshots"),
            sa.Column("covered_seconds", sa.Double(), nullable=True, comment="Sum of their intervals"),
            schema="monitoring",
            comment=f"How much of each bucket of {tier} was watched; read it through the view coverage",
            postgresql_partition_by="RANGE (ts)",
        )
        op.create_index(
            f"coverage_{tier}_metric_target_ts",
            f"coverage_{tier}",
            ["metric_id", "target_id", "ts"],
            unique=False,
            schema="monitoring",
        )


def downgrade() -> None:
    for tier in reversed(_TIERS):
        op.drop_index(f"coverage_{tier}_metric_target_ts", table_name=f"coverage_{tier}", schema="monitoring")
        op.drop_table(f"coverage_{tier}", schema="monitoring")
    op.drop_table("late_bucket", schema="monitoring")
    op.drop_table("rollup", schema="monitoring")
