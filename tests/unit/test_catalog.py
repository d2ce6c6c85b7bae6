"""Names, variants, the catalog as a whole, and which variant serves a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbpgmon.catalog.catalog import is_for, load_catalog, pick_variant, render_sql
from sbpgmon.catalog.metrics import load_metrics, parse_metric
from sbpgmon.catalog.names import OWN, SUFFIXES, problem_of
from sbpgmon.errors import QueryFileError
from sbpgmon.model import Kind
from sbpgmon.store.statement_tables import metadata
from tests.unit.catalog_files import GOOD, Write, server

HIGHER = "-- From 18 on.\nselect 2::bigint as wal_records\n"
EXTENSION = GOOD.replace("-- missing", "-- requires: extension pg_stat_statements 1.9\n-- missing")


# Names


@pytest.mark.parametrize("name", ["a", "stat_wal", "x1", "a" * 40])
def test_good_names(name: str) -> None:
    assert problem_of(name) is None


@pytest.mark.parametrize("name", ["", "1st", "_x", "Stat", "stat-wal", "stat wal", "a" * 41, "zähler", "x\n", 'x"y'])
def test_bad_names(name: str) -> None:
    assert problem_of(name)


@pytest.mark.parametrize("name", [*sorted(OWN), *(f"x{suffix}" for suffix in SUFFIXES)])
def test_the_schemas_own_names_are_reserved(name: str) -> None:
    assert problem_of(name)


def test_every_table_of_the_fixed_part_is_reserved() -> None:
    tables = {table.name for table in metadata.tables.values()} | {"alembic_version"}
    assert all(problem_of(name) for name in tables)
    assert {name for name in tables if not name.startswith("coverage_")} <= OWN


@pytest.mark.parametrize("name", ["Wal.sql", "wal.pg8.sql", "wal.pg180.sql", "wal.ext.sql", "wal.v2.sql", "wal_raw.sql",
                                  "target.sql", "wal.pg18.ext1.sql"])  # fmt: skip
def test_a_file_with_a_wrong_name_is_named(write: Write, tmp_path: Path, name: str) -> None:
    path = write(GOOD, name)
    write(GOOD, "good.sql")
    problems: list[QueryFileError] = []
    assert [metric.name for metric in load_metrics(tmp_path / "metrics", problems)] == ["good"]
    assert len(problems) == 1
    assert problems[0].what.startswith(f"{path}:1: ")


# Variants


def test_variants_are_ordered_and_the_lowest_holds_the_keys(write: Write) -> None:
    paths = [write(HIGHER, "wal.pg18.sql"), write(GOOD), write(HIGHER, "wal.pg16.sql")]
    metric = parse_metric(paths)
    assert [variant.major for variant in metric.variants] == [0, 16, 18]
    assert metric.interval_seconds == 60


def test_keys_in_a_higher_variant_are_refused(write: Write) -> None:
    higher = write("-- From 18 on.\n-- interval: 60s\nselect 1", "wal.pg18.sql")
    with pytest.raises(QueryFileError, match=r"keys stand in the lowest variant only, wal\.sql") as broken:
        parse_metric([higher, write(GOOD)])
    assert broken.value.what.startswith(f"{higher}:2: ")


@pytest.mark.parametrize(
    "names", [("wal.ext1.9.sql", "wal.ext01.9.sql"), ("wal.sql", "wal.ext1.9.sql", "wal.ext01.9.sql")]
)
def test_the_same_variant_twice_is_refused(write: Write, names: tuple[str, ...]) -> None:
    paths = [write(EXTENSION if n == 0 else HIGHER, name) for n, name in enumerate(names)]
    with pytest.raises(QueryFileError, match="is the same variant"):
        parse_metric(paths)


def test_a_variant_by_extension_needs_the_extension(write: Write) -> None:
    with pytest.raises(QueryFileError, match="needs `requires: extension NAME`"):
        parse_metric([write(GOOD), write(HIGHER, "wal.ext1.10.sql")])


def test_a_constant_null_is_a_column_that_the_variant_lacks(write: Write) -> None:
    low = write(GOOD.replace("select 1::bigint as wal_records", "select NULL::bigint AS wal_records"))
    metric = parse_metric([low, write(HIGHER, "wal.pg18.sql")])
    assert [sorted(variant.lacks) for variant in metric.variants] == [["wal_records"], []]


@pytest.mark.parametrize(("kind", "type_"), [("key", "text"), ("reset", "timestamptz"), ("loss", "bigint")])
def test_a_key_a_reset_or_a_loss_cannot_be_lacking(write: Write, kind: str, type_: str) -> None:
    text = GOOD.replace("select", f"select null::{type_} as x,").replace(
        "-- columns:\n", f"-- columns:\n--   x  {kind}  {type_}  y\n"
    )
    with pytest.raises(QueryFileError, match=f"the {kind} column x is a constant NULL"):
        parse_metric([write(text)])


# Which variant serves


@pytest.mark.parametrize(("major", "expected"), [(14, 0), (15, 0), (16, 16), (17, 16), (18, 18), (19, 18)])
def test_the_highest_major_that_fits_is_taken(write: Write, major: int, expected: int) -> None:
    metric = parse_metric([write(GOOD), write(HIGHER, "wal.pg16.sql"), write(HIGHER, "wal.pg18.sql")])
    variant, why = pick_variant(metric, server(major))
    assert variant is not None
    assert (variant.major, why) == (expected, "")


@pytest.mark.parametrize(
    ("version", "expected"), [((1, 9), ()), ((1, 10), (1, 10)), ((1, 11), (1, 11)), ((2,), (1, 11)), ((1, 9, 5), ())]
)
def test_the_version_of_an_extension_is_compared_number_by_number(
    write: Write, version: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    metric = parse_metric([write(EXTENSION), write(HIGHER, "wal.ext1.10.sql"), write(HIGHER, "wal.ext1.11.sql")])
    variant, _ = pick_variant(metric, server(extensions={"pg_stat_statements": ("public", version)}))
    assert variant is not None
    assert variant.extension_version == expected


def test_a_server_below_the_lowest_variant(write: Write) -> None:
    metric = parse_metric([write(GOOD, "wal.pg16.sql")])
    assert pick_variant(metric, server(15)) == (None, "the lowest variant is wal.pg16.sql; the server is 15.1")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"extensions": {}}, "CREATE EXTENSION pg_stat_statements"),
        ({"is_statements_loaded": False}, "shared_preload_libraries"),
        ({"extensions": {"pg_stat_statements": ("public", (1, 8))}}, "ALTER EXTENSION pg_stat_statements UPDATE"),
    ],
)
def test_what_a_server_lacks_is_said_with_the_way_out(write: Write, changes: dict[str, Any], why: str) -> None:
    variant, reason = pick_variant(parse_metric([write(EXTENSION)]), server(**changes))
    assert variant is None
    assert why in reason


def test_pg_monitor_is_asked_for(write: Write) -> None:
    metric = parse_metric([write(GOOD.replace("-- missing", "-- requires: pg_monitor\n-- missing"))])
    assert pick_variant(metric, server(roles=frozenset())) == (
        None,
        "reader is not a member of pg_monitor: GRANT pg_monitor TO reader",
    )


@pytest.mark.parametrize(
    ("role", "is_standby", "expected"),
    [
        ("any", True, True),
        ("any", False, True),
        ("primary", True, False),
        ("primary", False, True),
        ("standby", True, True),
        ("standby", False, False),
    ],
)
def test_a_metric_of_primaries_or_standbys(write: Write, role: str, is_standby: bool, expected: bool) -> None:
    metric = parse_metric([write(GOOD.replace("-- missing", f"-- role: {role}\n-- missing"))])
    assert is_for(metric, server(is_standby=is_standby)) is expected


@given(st.text(st.characters(exclude_characters="\x00"), min_size=1, max_size=20))
def test_the_schema_of_an_extension_is_quoted(schema: str) -> None:
    metric = load_catalog().metrics["stat_statements_info"]
    sql = render_sql(metric.variants[0], server(extensions={"pg_stat_statements": (schema, (1, 12))}))
    quoted = '"' + schema.replace('"', '""') + '"'
    assert f"from {quoted}.pg_stat_statements_info" in sql
    assert "@extschema" not in sql


def test_an_extension_of_extschema_has_to_be_required(write: Write) -> None:
    path = write(GOOD.replace("select 1::bigint as wal_records", "select 1\nfrom @extschema:postgis@.x"))
    with pytest.raises(QueryFileError, match="requires: extension postgis") as broken:
        parse_metric([path])
    assert broken.value.what.startswith(f"{path}:")


# The catalog


def test_the_shipped_catalog_has_no_problem() -> None:
    catalog = load_catalog()
    assert catalog.problems == ()
    assert {"stat_statements", "stat_database", "connections", "locks", "server"} <= catalog.metrics.keys()
    assert {"cache_hit_rate", "connection_utilisation", "deadlocks", "tps", "statements"} <= catalog.views.keys()


@pytest.mark.parametrize("name", sorted(load_catalog().metrics))
def test_a_shipped_metric_keeps_the_rules_of_style(name: str) -> None:
    metric = load_catalog().metrics[name]
    assert metric.timeout_seconds < metric.interval_seconds
    for column in metric.columns:
        if column.kind in (Kind.COUNTER, Kind.GAUGE) and column.name.endswith(("_bytes", "_seconds")):
            assert column.unit == column.name.rsplit("_", 1)[1], f"{name}.{column.name}"


def test_a_users_metric_is_a_file_and_nothing_else(write: Write, tmp_path: Path) -> None:
    write(GOOD, "own.sql")
    catalog = load_catalog(tmp_path)
    assert catalog.metrics["own"].title
    assert catalog.metrics.keys() - load_catalog().metrics.keys() == {"own"}


def test_a_broken_file_stops_no_other(write: Write, tmp_path: Path) -> None:
    broken = write(GOOD.replace("60s", "often"), "broken.sql")
    write(GOOD, "own.sql")
    catalog = load_catalog(tmp_path)
    assert "own" in catalog.metrics
    assert "broken" not in catalog.metrics
    assert [problem.what.startswith(f"{broken}:5: ") for problem in catalog.problems] == [True]


def test_a_name_that_is_taken(write: Write, tmp_path: Path) -> None:
    path = write(GOOD, "server.sql")
    catalog = load_catalog(tmp_path)
    assert [problem.what for problem in catalog.problems] == [
        f"{path}:1: there is already a metric or view named server."
    ]
    assert catalog.metrics["server"].variants[0].path != path


def test_a_view_whose_needs_are_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "views"
    folder.mkdir()
    text = "-- A view.\n--\n-- needs: {}\n-- columns:\n--   x  something\nselect 1 as x\n"
    for name, needs in (("first", "nothing_there"), ("second", "first"), ("third", "server")):
        (folder / f"{name}.sql").write_text(text.format(needs))
    catalog = load_catalog(tmp_path)
    assert "third" in catalog.views
    assert not {"first", "second"} & catalog.views.keys()
    assert len(catalog.problems) == 2


def test_a_view_with_a_broken_header(tmp_path: Path) -> None:
    folder = tmp_path / "views"
    folder.mkdir()
    (folder / "first.sql").write_text("-- A view.\n-- interval: 3s\nselect 1 as x\n")
    (folder / "x_raw.sql").write_text("-- A view.\nselect 1 as x\n")
    whats = [problem.what for problem in load_catalog(tmp_path).problems]
    assert [what.removeprefix(f"{folder}/")[:12] for what in whats] == ["first.sql:2:", "x_raw.sql:1:"]
