"""The schema's name, mark and revision."""

SCHEMA = "monitoring"
MARK = "sbpgmon: PostgreSQL monitoring history. DROP SCHEMA monitoring CASCADE removes all of it."
REVISION = "0008"  # Alembic's head; a test holds the two together
