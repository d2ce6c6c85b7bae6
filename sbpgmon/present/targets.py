"""What `targets list` shows: which server each target's history is of, and who answers by now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sbpgmon.store.connection import StoreConnection

_TARGETS = """
SELECT
  coalesce(t.name, c.name) AS target,
  t.database,
  t.server_version,
  t.system_identifier,
  t.refused_identifier,
  CASE
    WHEN t.refused_identifier IS NOT NULL THEN 'refused'
    WHEN c.name IS NULL THEN 'not configured'
    WHEN t.system_identifier IS NULL THEN 'no poll yet'
    ELSE 'polled'
  END AS state
FROM monitoring.target AS t
FULL JOIN unnest(%s::text[]) AS c (name) ON c.name = t.name
ORDER BY 1
"""


def targets(store: StoreConnection, configured: Sequence[str]) -> list[dict[str, Any]]:
    """One row a target: those of the store, and those of the configuration.

    Raises StoreError and its kin.
    """
    return store.query(_TARGETS, (list(configured),))
