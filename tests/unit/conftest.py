"""A folder for SQL files; hypothesis without a clock, since machines are busy."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.unit.catalog_files import Write

settings.register_profile("busy", deadline=None)
settings.load_profile("busy")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes `text` to a file below a fresh folder, and returns its path."""

    def write_(text: str, name: str = "wal.sql") -> Path:
        path = tmp_path / "metrics" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write_
