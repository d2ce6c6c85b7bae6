"""A small dashboard as files, for the tests of the catalog and of what is made out of it."""

from __future__ import annotations

from pathlib import Path

from sbpgmon.catalog.catalog import Catalog, load_catalog

ABOUT = """\
title = "Mine"
description = "What is mine."
level = "service"
order = 90
"""
VARIABLE = "-- Colour\n--\n-- Of things.\n--\n-- multi: {multi}\nselect 'red' as colour order by 1\n"
SQL = """\
select
  date_bin('$__interval_ms ms', u.time, timestamptz 'epoch') as time, u.target, avg(u.up) as up
from monitoring.up as u
where u.time >= $__timeFrom()::timestamptz and u.time < $__timeTo()::timestamptz and u.target in ($target)
group by 1, 2
order by 1
"""
COLUMNS = ("time    time", "target  label  Target", "up      value  Up [percentunit]")
INSTANT = ("target  label  Target", "up      value  Up")


def panel(*lines: str, columns: tuple[str, ...] = COLUMNS, sql: str = SQL, about: str = "It is up.") -> str:
    """A panel's file; `lines` are added to its header."""
    kind = [] if any(line.startswith("kind:") for line in lines) else ["kind: timeseries"]
    header = ["Up", "", about, "", *kind, "needs: up", *lines, "columns:", *(f"  {column}" for column in columns)]
    return "".join(f"-- {line}".rstrip() + "\n" for line in header) + sql


def write(folder: Path, files: dict[str, str], about: str | None = ABOUT) -> Path:
    """A folder of the user's own with a dashboard `mine`; names with a / lie elsewhere below panels/."""
    mine = folder / "panels" / "mine"
    mine.mkdir(parents=True, exist_ok=True)
    if about is not None:
        (mine / "dashboard.toml").write_text(about)
    for name, text in files.items():
        path = folder / "panels" / name if "/" in name else mine / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def load(folder: Path, files: dict[str, str], about: str | None = ABOUT) -> Catalog:
    """The catalog together with that dashboard."""
    return load_catalog(write(folder, files, about))
