"""Derived views out of SQL files: queries/views/NAME.sql, one SELECT on the store."""

from __future__ import annotations

from pathlib import Path

from sbpgmon.catalog.header import parse_header
from sbpgmon.catalog.names import problem_of
from sbpgmon.errors import QueryFileError
from sbpgmon.model import View

KEYS = frozenset({"needs", "columns"})


def load_views(folder: Path) -> dict[str, View]:
    """All derived views of one folder, by name; raises QueryFileError with file and line."""
    views = {}
    for path in sorted(folder.glob("*.sql")):
        name = path.stem
        if problem := problem_of(name):
            raise QueryFileError(f"{path}:1: {problem}.", "Rename the file.")
        header = parse_header(path, path.read_text(encoding="utf-8"), KEYS)
        _, needs = header.value("needs", "")
        columns = tuple((text.split()[0], " ".join(text.split()[1:])) for _, text in header.columns)
        views[name] = View(
            name=name,
            title=header.title.rstrip("."),
            description=header.description,
            needs=tuple(part.strip() for part in needs.split(",") if part.strip()),
            columns=columns,
            sql=header.sql,
            path=path,
        )
    return views
