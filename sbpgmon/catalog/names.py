"""Names that a metric may bear: they become tables, so they must not meet the schema's own."""

from __future__ import annotations

import re

PATTERN = re.compile(r"[a-z][a-z0-9_]*\Z")
MAX_LENGTH = 40
SUFFIXES = ("_series", "_last", "_staging", "_attributes", "_raw", "_1m", "_5m", "_1h", "_1d")
OWN = frozenset(
    {"alembic_version", "control", "derived_view", "event", "last_state", "lease", "metric", "metric_state"}
    | {"late_bucket", "rollup", "snapshot_log", "statement_text", "statement_text_of", "target"}
    | {"check_state", "counted_window", "finding_log", "isolation_element"}
    | {"statement_judgement", "statement_standing", "tenancy_look"}
)
# Columns that every view has, or that facts have.
COLUMNS = frozenset(
    {"time", "tier", "target", "target_id", "series_id", "ts", "quality", "valid_from", "valid_to", "key_hash"}
    | {"at", "covered_seconds"}
)


def problem_of(name: str) -> str | None:
    """What is wrong with the name of a metric or view, or None."""
    if not PATTERN.match(name):
        return f"{name!r} is not a name: lower-case letters, digits and '_', beginning with a letter"
    if len(name) > MAX_LENGTH:
        return f"{name!r} has {len(name)} characters; at most {MAX_LENGTH} fit"
    if name in OWN:
        return f"{name!r} is a name of the schema's own"
    if re.search(r"_v\d+\Z", name):
        return f"{name!r} ends like a table that was replaced"
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return f"{name!r} ends in {suffix!r}, which the schema's own tables end in"
    return None
