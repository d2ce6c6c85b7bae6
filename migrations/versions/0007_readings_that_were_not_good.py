"""The few readings that were not good are found without reading the whole log."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "snapshot_log_not_good_ts",
        "snapshot_log",
        ["ts"],
        schema="monitoring",
        postgresql_where=sa.text("status <> 'ok' OR quality <> 0"),
    )


def downgrade() -> None:
    op.drop_index("snapshot_log_not_good_ts", table_name="snapshot_log", schema="monitoring")
