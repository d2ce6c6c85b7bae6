"""Up to where the application's events are counted."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KINDS = "identity, restart, crash, failover, baseline, rebuilt, spool, guard, isolation"


def upgrade() -> None:
    op.create_table(
        "counted_window",
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("metric_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="What is counted: the first key of the metric"),
        sa.Column(
            "counted_until",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="End of the last window that is stored",
        ),
        sa.PrimaryKeyConstraint("target_id", "metric_id", "name", name="counted_window_pkey"),
        schema="monitoring",
        comment="Up to where the application's events are counted: the next window begins there",
    )
    op.alter_column(
        "event",
        "kind",
        existing_type=sa.Text(),
        comment=f"{_KINDS}, events",
        existing_comment=_KINDS,
        existing_nullable=False,
        schema="monitoring",
    )


def downgrade() -> None:
    op.alter_column(
        "event",
        "kind",
        existing_type=sa.Text(),
        comment=_KINDS,
        existing_comment=f"{_KINDS}, events",
        existing_nullable=False,
        schema="monitoring",
    )
    op.drop_table("counted_window", schema="monitoring")
