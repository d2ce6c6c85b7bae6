"""The tables of versions in docs/metrics.md, held to the server that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sbpgmon.catalog.catalog import is_for, load_catalog, pick_variant, render_sql
from sbpgmon.cli.docs_metrics import MAJORS, SHIPPED
from sbpgmon.model import Metric, Server, Variant
from sbpgmon.sources.probe import probe
from sbpgmon.sources.session import Session
from tests.sql.conftest import Site

pytestmark = pytest.mark.matrix

METRICS = load_catalog().metrics
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
EXTENSION = "pg_stat_statements"


def table(*heads: str) -> list[dict[str, str]]:
    """The rows of the page's table with these headings, links and backticks taken off."""
    lines = iter(PAGE.splitlines())
    assert f"| {' | '.join(heads)} |" in lines, "run `make docs`"
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        cells = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line).replace("`", "").strip("| ").split(" | ")
        rows.append(dict(zip(heads, map(str.strip, cells), strict=True)))
    return rows


def majors(text: str) -> set[int]:
    """`14–16` or `14, 16` as numbers."""
    first, dash, last = text.partition("–")
    return set(range(int(first), int(last) + 1)) if dash else {int(part) for part in text.split(", ")}


BY_MAJOR = {row["PostgreSQL"]: row for row in table("PostgreSQL", *map(str, MAJORS))}
VERSIONS = [".".join(map(str, version)) for version in sorted(set(SHIPPED[EXTENSION].values()))]
BY_VERSION = {row[EXTENSION]: row for row in table(EXTENSION, *VERSIONS)}
LACKING = table("metric", "PostgreSQL", "columns")


def constants(session: Session, variant: Variant, server: Server) -> set[str]:
    """The columns that are NULL whatever the server holds: the planner says so."""
    query = render_sql(variant, server)
    with session.transaction(5) as (cursor, _):
        cursor.execute(f"SELECT * FROM (\n{query}\n) AS metric LIMIT 0".encode())
        names = [column.name for column in cursor.description or ()]
        cursor.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) {query}".encode())
        [(plan,)] = cursor.fetchall()
    output = plan[0]["Plan"]["Output"]
    assert len(output) >= len(names)
    return {name for name, expression in zip(names, output, strict=False) if expression.strip("()").startswith("NULL:")}


def available(session: Session, variant: Variant) -> set[str]:
    """The columns of the server's statistics views that the query reads."""
    views = re.findall(r"\bpg_stat_\w+", variant.sql)
    with session.transaction(5) as (cursor, _):
        cursor.execute(
            "SELECT attname::text FROM pg_attribute JOIN pg_class c ON c.oid = attrelid "
            "WHERE c.relname = ANY (%s) AND c.relkind = 'v' AND attnum > 0 AND NOT attisdropped",
            (views,),
        )
        return {name for (name,) in cursor.fetchall()}


def known(session: Session, variant: Variant, server: Server, columns: set[str]) -> int:
    """How many values of these columns are not NULL."""
    if not columns:
        return 0
    with session.transaction(5) as (cursor, _):
        counted = " + ".join(f'count("{name}")' for name in sorted(columns))
        cursor.execute(f"SELECT {counted} FROM (\n{render_sql(variant, server)}\n) AS metric".encode())
        [(count,)] = cursor.fetchall()
        return int(count)


def tag_of(metric: Metric, variant: Variant) -> str:
    return variant.path.name.removeprefix(metric.name)


def test_the_extensions_of_this_server(either: Site) -> None:
    with either.database.connect() as admin:
        for name in SHIPPED:
            query = "SELECT default_version FROM pg_available_extensions WHERE name = %s"
            major = str(admin.info.server_version // 10000)
            assert admin.execute(query, (name,)).fetchall() == [(BY_MAJOR[f"extension {name}"][major],)]


def test_every_metric_is_in_the_table() -> None:
    assert set(BY_MAJOR) - {f"extension {name}" for name in SHIPPED} == set(METRICS)
    assert set(BY_VERSION) == {name for name, m in METRICS.items() if EXTENSION in {n.extension for n in m.requires}}


# Those that a target is asked for as they stand in the file.
@pytest.mark.parametrize("name", [name for name, m in METRICS.items() if not (m.source or m.uses)])
def test_the_file_and_what_lacks(either: Site, name: str) -> None:
    metric = METRICS[name]
    with Session(either.target, 5) as session:
        server = probe(session)
        variant, _ = pick_variant(metric, server)
        cell = BY_MAJOR[name][str(server.major)]
        if not is_for(metric, server):
            return
        if cell == "–":
            assert variant is None
            return
        assert variant is not None
        listed = [row for row in LACKING if row["metric"] == name and server.major in majors(row["PostgreSQL"])]
        lacking = {column for row in listed for column in row["columns"].split(", ")}
        assert cell == tag_of(metric, variant) + (f" ({len(lacking)})" if lacking else "")
        assert constants(session, variant, server) == lacking
        assert known(session, variant, server, lacking) == 0
        # Nor is anything left out that this server would tell.
        assert lacking & available(session, variant) == set()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_file_for_a_version_of_the_extension(either: Site, version: str) -> None:
    with either.database.connect() as admin:
        query = "SELECT FROM pg_available_extension_versions WHERE name = %s AND version = %s"
        is_available = admin.execute(query, (EXTENSION, version)).fetchone() is not None
        newest = SHIPPED[EXTENSION][admin.info.server_version // 10000]
    # A server has its own version, and all before.
    assert is_available == (tuple(map(int, version.split("."))) <= newest)
    if not is_available:
        return
    try:
        either.install(version)
        with Session(either.target, 5) as session:
            server = probe(session)
            for name, row in BY_VERSION.items():
                variant, why = pick_variant(METRICS[name], server)
                assert variant is not None, why
                lacking = constants(session, variant, server)
                expected = tag_of(METRICS[name], variant) + (f" ({len(lacking)})" if lacking else "")
                assert row[version] == expected
                assert lacking & available(session, variant) == set()
    finally:
        either.install()
