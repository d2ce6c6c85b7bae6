"""Tables and links of the generated pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

GENERATED = "<!-- Written by `make docs`; edit what it is made from instead. -->\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in lines)


def link(name: str) -> str:
    """A link to the heading of that name on the same page."""
    return f"[{name}](#{name})"


def duration(seconds: float) -> str:
    """Seconds as `15 s` or `5 min`."""
    return f"{seconds / 60:g} min" if seconds > 60 and seconds % 60 == 0 else f"{seconds:g} s"
