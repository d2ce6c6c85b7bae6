"""Derived views out of SQL files: queries/views/NAME.sql, one SELECT on the store."""

from __future__ import annotations

from pathlib import Path

from sbpgmon.catalog.header import parse_header
from sbpgmon.catalog.names import problem_of
from sbpgmon.errors import QueryFileError
from sbpgmon.model import View

KEYS = frozenset({"needs", "columns"})


def load_views(folder: Path, problems: list[QueryFileError]) -> list[View]:
    """All derived views of one folder; what is wrong with a file is added to `problems`, and that view left out."""
    views = []
    for path in sorted(folder.glob("*.sql")):
        try:
            views.append(_parse_view(path))
        except QueryFileError as error:
            problems.append(error)
    return views


def _parse_view(path: Path) -> View:
    if problem := problem_of(path.stem):
        raise QueryFileError(f"{path}:1: {problem}.", "Rename the file.")
    header = parse_header(path, KEYS)
    _, needs = header.value("needs", "")
    columns = tuple((text.split()[0], " ".join(text.split()[1:])) for _, text in header.columns)
    return View(
        name=path.stem,
        title=header.title.rstrip("."),
        description=header.description,
        needs=tuple(part.strip() for part in needs.split(",") if part.strip()),
        columns=columns,
        sql=header.sql,
        path=path,
    )
