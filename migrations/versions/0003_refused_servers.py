"""Targets at which another server answers."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATUS = "ok, error, unreachable, refused or skipped"
_STATUS_BEFORE = "ok, error, unreachable or skipped"


def upgrade() -> None:
    op.add_column(
        "target",
        sa.Column(
            "refused_identifier",
            sa.BigInteger(),
            nullable=True,
            comment="Of another server that answers by now: nothing is read until `sbpgmon targets accept`",
        ),
        schema="monitoring",
    )
    op.alter_column(
        "snapshot_log", "status", schema="monitoring", existing_type=sa.String(12), existing_nullable=False,
        existing_comment=_STATUS_BEFORE, comment=_STATUS,
    )  # fmt: skip


def downgrade() -> None:
    op.alter_column(
        "snapshot_log", "status", schema="monitoring", existing_type=sa.String(12), existing_nullable=False,
        existing_comment=_STATUS, comment=_STATUS_BEFORE,
    )  # fmt: skip
    op.drop_column("target", "refused_identifier", schema="monitoring")
