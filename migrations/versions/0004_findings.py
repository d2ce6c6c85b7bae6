"""What the checks of tenant isolation found."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIME = postgresql.TIMESTAMP(timezone=True)
_KINDS = "identity, restart, crash, failover, baseline, rebuilt, spool"


def upgrade() -> None:
    op.create_table(
        "finding_log",
        sa.Column("finding_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("check_name", sa.Text(), nullable=False, comment="Name of the SQL file"),
        sa.Column("key", sa.Text(), nullable=False, comment="The same from run to run"),
        sa.Column("key_hash", sa.UUID(), nullable=False, comment="MD5 of the key"),
        sa.Column("status", sa.String(length=8), nullable=False, comment="fail or unknown"),
        sa.Column("severity", sa.String(length=2), nullable=False, comment="P0 (worst) to P3"),
        sa.Column("object", sa.Text(), nullable=False, comment="What it is about"),
        sa.Column("role", sa.Text(), nullable=False, comment="Who could use it"),
        sa.Column("detail", sa.Text(), nullable=False, comment="What a tenant could do with it"),
        sa.Column("remedy", sa.Text(), nullable=False, comment="What mends it"),
        sa.Column("is_heuristic", sa.Boolean(), nullable=False, comment="Told by text alone"),
        sa.Column("allowed", sa.Text(), nullable=True, comment="Why it is let be"),
        sa.Column("first_seen", _TIME, nullable=False, comment="When it was seen for the first time ever"),
        sa.Column("opened_at", _TIME, nullable=False, comment="When it was seen first, of this time"),
        sa.Column("last_seen", _TIME, nullable=False, comment="When it was seen last"),
        sa.Column("seen", sa.Integer(), server_default=sa.text("1"), nullable=False, comment="How often"),
        sa.Column("closed_at", _TIME, nullable=True, comment="When it was not there any more"),
        sa.Column("closed_because", sa.Text(), nullable=True, comment="gone, or not looked for any more"),
        sa.PrimaryKeyConstraint("finding_id"),
        schema="monitoring",
        comment="Findings, each time that one was open; read it through the view finding",
    )
    op.create_index(
        "finding_log_open",
        "finding_log",
        ["target_id", "check_name", "key_hash"],
        unique=True,
        schema="monitoring",
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_index("finding_log_key", "finding_log", ["target_id", "key_hash"], unique=False, schema="monitoring")
    op.create_table(
        "check_state",
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("check_name", sa.Text(), nullable=False, comment="Name of the SQL file"),
        sa.Column("last_run", _TIME, nullable=False, comment="Time of the last run"),
        sa.Column("status", sa.String(length=8), nullable=False, comment="pass, fail or unknown"),
        sa.Column("fails", sa.Integer(), nullable=False, comment="Findings that fail and are not allowed"),
        sa.Column("unknowns", sa.Integer(), nullable=False, comment="Findings that are unknown"),
        sa.Column("allowed", sa.Integer(), nullable=False, comment="Findings that are let be"),
        sa.Column("seconds", sa.REAL(), nullable=False, comment="Time that the last run took"),
        sa.Column("sweep", postgresql.JSONB(), nullable=True, comment="Of a check of data: how far it has come"),
        sa.PrimaryKeyConstraint("target_id", "check_name", name="check_state_pkey"),
        schema="monitoring",
        comment="Where each check of each target stands; read it through the view isolation_check",
    )
    op.create_table(
        "isolation_element",
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="table, policy, view, membership, setting, …"),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False, comment="As the catalog has it"),
        sa.PrimaryKeyConstraint("target_id", "kind", "object", name="isolation_element_pkey"),
        schema="monitoring",
        comment="What keeps tenants apart on each target, as it was seen last: a change is an event",
    )
    op.add_column(
        "target",
        sa.Column("isolation_fingerprint", sa.Text(), nullable=True, comment="Digest of the rows of isolation_element"),
        schema="monitoring",
    )
    op.add_column(
        "target",
        sa.Column(
            "check_slots",
            postgresql.JSONB(),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="Check -> slot of its last run",
        ),
        schema="monitoring",
    )
    op.alter_column(
        "event", "kind", schema="monitoring", existing_type=sa.Text(), existing_nullable=False,
        existing_comment=_KINDS, comment=f"{_KINDS}, guard, isolation",
    )  # fmt: skip


def downgrade() -> None:
    op.alter_column(
        "event", "kind", schema="monitoring", existing_type=sa.Text(), existing_nullable=False,
        existing_comment=f"{_KINDS}, guard, isolation", comment=_KINDS,
    )  # fmt: skip
    op.drop_column("target", "check_slots", schema="monitoring")
    op.drop_column("target", "isolation_fingerprint", schema="monitoring")
    op.drop_table("isolation_element", schema="monitoring")
    op.drop_table("check_state", schema="monitoring")
    op.drop_index("finding_log_key", table_name="finding_log", schema="monitoring")
    op.drop_index("finding_log_open", table_name="finding_log", schema="monitoring")
    op.drop_table("finding_log", schema="monitoring")
