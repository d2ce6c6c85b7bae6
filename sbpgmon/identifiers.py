"""Names as SQL writes them."""

from __future__ import annotations


def quote(name: str) -> str:
    """An identifier in double quotes, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'
