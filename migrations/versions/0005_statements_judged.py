"""What statements do about tenants: what they are judged by, the verdicts on their texts, and where each stands."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TIME = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "tenancy_look",
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("seen_from", _TIME, nullable=False, comment="First look that found it so"),
        sa.Column("seen_to", _TIME, nullable=False, comment="Last look that found it so"),
        sa.Column("dbid", sa.BigInteger(), nullable=False, comment="OID of the database that it is of"),
        sa.Column("digest", sa.Text(), nullable=False, comment="Of all of it"),
        sa.Column("structure", sa.Text(), nullable=False, comment="Of what the verdict on a text depends on"),
        sa.Column("ground", postgresql.JSONB(), nullable=False, comment="Relations, roles, allowances"),
        sa.Column(
            "is_applied",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="All statements stand by it",
        ),
        sa.PrimaryKeyConstraint("target_id", "seen_from", name="tenancy_look_pkey"),
        schema="monitoring",
        comment="What statements are judged by, and from when to when it was seen to be so",
    )
    op.create_table(
        "statement_judgement",
        sa.Column("judgement_id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("text_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False, comment="Schemas in which names without one are looked up"),
        sa.Column("structure", sa.Text(), nullable=False, comment="Digest of what it was judged by"),
        sa.Column("verdict", sa.Text(), nullable=False, comment="On the text alone"),
        sa.Column("relation", sa.Text(), nullable=False, comment="Table that decided it"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("relations", postgresql.ARRAY(sa.Text()), nullable=False, comment="Tenants' tables that it touches"),
        sa.Column("tenants", postgresql.ARRAY(sa.Text()), nullable=False, comment="Whose schemas it touches"),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), nullable=False, comment="What its comments say"),
        sa.Column("sets_session_context", sa.Boolean(), nullable=False),
        sa.Column("is_beyond_rls", sa.Boolean(), nullable=False, comment="No policy is asked"),
        sa.PrimaryKeyConstraint("judgement_id"),
        sa.UniqueConstraint("target_id", "text_id", "path", name="statement_judgement_text_key"),
        schema="monitoring",
        comment="Verdict on each text on each target, as it was judged last",
    )
    op.create_table(
        "statement_standing",
        sa.Column("series_id", sa.Integer(), nullable=False, comment="Of stat_statements_series"),
        sa.Column("valid_from", _TIME, nullable=False, comment="Holds for what was counted after it"),
        sa.Column("valid_to", _TIME, nullable=False, comment="And up to it; infinity: now"),
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("judgement_id", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False, comment="With its role, row level security and allowances"),
        sa.Column("check_name", sa.Text(), nullable=True, comment="Check that it fails"),
        sa.Column("allowed", sa.Text(), nullable=True, comment="Why that is let be"),
        sa.Column("calls", sa.BigInteger(), nullable=True, comment="Of those that fail: calls since valid_from"),
        sa.Column("last_called", _TIME, nullable=True, comment="Of those that fail: last snapshot with a call"),
        sa.PrimaryKeyConstraint("series_id", "valid_from", name="statement_standing_pkey"),
        schema="monitoring",
        comment="Where each statement stood when; read it through the view statement_verdict",
    )
    op.create_index(
        "statement_standing_failing",
        "statement_standing",
        ["target_id"],
        unique=False,
        schema="monitoring",
        postgresql_where=sa.text("check_name IS NOT NULL AND valid_to = 'infinity'::timestamptz"),
    )


def downgrade() -> None:
    op.drop_index(
        "statement_standing_failing",
        table_name="statement_standing",
        schema="monitoring",
        postgresql_where=sa.text("check_name IS NOT NULL AND valid_to = 'infinity'::timestamptz"),
    )
    op.drop_table("statement_standing", schema="monitoring")
    op.drop_table("statement_judgement", schema="monitoring")
    op.drop_table("tenancy_look", schema="monitoring")
