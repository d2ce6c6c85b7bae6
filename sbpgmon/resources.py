"""Finds queries/ and migrations/: in a wheel under `sbpgmon/_data`, in a checkout beside the package."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource_dir(name: str) -> Path:
    """The folder `name` ("queries", "migrations"); raises FileNotFoundError when the installation lacks it."""
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(f"{name}/ is neither in {_PACKAGE / '_data'} nor in {_PACKAGE.parent}: reinstall sbpgmon")
