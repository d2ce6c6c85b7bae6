"""Coverage tells how many polls did not reach their target.

What the log still has of them is entered, as late snapshots are: the next roll-up makes one row of a bucket again.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TIERS = {"1m": 60, "5m": 300, "1h": 3600, "1d": 86400}
# Partitions that somebody detached are attached again by the agent, which needs all columns in them.
_DETACHED = """
DO $do$
DECLARE
  found text;
BEGIN
  FOR found IN
    SELECT c.relname FROM pg_class AS c
    WHERE c.relnamespace = 'monitoring'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
      AND obj_description(c.oid, 'pg_class') ~ '^Partition of coverage_'
  LOOP
    EXECUTE 'ALTER TABLE monitoring.' || quote_ident(found) || ' {change}';
  END LOOP;
END $do$
"""
_ENTERED = """
    INSERT INTO monitoring.coverage_{tier} (ts, target_id, metric_id, polls, covered_seconds, lost)
    SELECT date_bin('{seconds} s', l.ts, '2000-01-01 00:00:00+00'), l.target_id, l.metric_id, 0, 0, count(*)
    FROM monitoring.snapshot_log AS l JOIN monitoring.rollup AS r ON r.metric_id = l.metric_id AND r.tier = '{tier}'
    WHERE l.status IN ('unreachable', 'refused') AND (l.status <> 'ok' OR l.quality <> 0)
      AND l.ts < r.watermark AND l.ts >= (
        SELECT min(substring(pg_get_expr(p.relpartbound, p.oid) FROM 'FROM \\(''([^'']+)')::timestamptz)
        FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhrelid
        WHERE i.inhparent = 'monitoring.coverage_{tier}'::regclass AND NOT i.inhdetachpending
      )
    GROUP BY 1, 2, 3;
    INSERT INTO monitoring.late_bucket (metric_id, tier, target_id, ts)
    SELECT c.metric_id, '{tier}', c.target_id, c.ts FROM monitoring.coverage_{tier} AS c WHERE c.lost > 0
    ON CONFLICT DO NOTHING;
"""
# Where a bucket's place is gone, what was lost before now is not known.
_FILL = """
DO $do$
BEGIN
  LOCK TABLE monitoring.rollup IN EXCLUSIVE MODE;
  UPDATE monitoring.metric AS m
  SET lost_known_since = coalesce((SELECT min(l.ts) FROM monitoring.snapshot_log AS l), now())
  WHERE EXISTS (
    SELECT FROM monitoring.rollup AS r WHERE r.metric_id = m.metric_id AND r.watermark IS NOT NULL
  );
  BEGIN
{entered}
  EXCEPTION WHEN check_violation THEN
    UPDATE monitoring.metric SET lost_known_since = now() WHERE lost_known_since IS NOT NULL;
  END;
END $do$
"""


def _run(statement: str) -> None:
    # A colon would begin a parameter.
    op.execute(sa.text(statement.replace(":", r"\:")))


def upgrade() -> None:
    for tier in _TIERS:
        op.add_column(
            f"coverage_{tier}",
            sa.Column("lost", sa.Integer(), nullable=True, comment="Snapshots that did not reach the target; NULL: 0"),
            schema="monitoring",
        )
    _run(_DETACHED.format(change="ADD COLUMN lost integer"))
    op.add_column(
        "metric",
        sa.Column(
            "lost_known_since",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Coverage of before does not tell how many polls were lost; NULL: all of it does",
        ),
        schema="monitoring",
    )
    entered = [_ENTERED.format(tier=tier, seconds=seconds) for tier, seconds in _TIERS.items()]
    _run(_FILL.format(entered="".join(entered)))


def downgrade() -> None:
    op.drop_column("metric", "lost_known_since", schema="monitoring")
    _run(_DETACHED.format(change="DROP COLUMN lost"))
    for tier in reversed(_TIERS):
        # A row without a poll is nothing that the program of then has met.
        op.execute(f"DELETE FROM monitoring.coverage_{tier} WHERE polls = 0")
        op.drop_column(f"coverage_{tier}", "lost", schema="monitoring")
