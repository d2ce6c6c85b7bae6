"""The header of an SQL file: what is taken, and what each broken one says, with file and line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sbpgmon.catalog.metrics import parse_metric
from sbpgmon.errors import QueryFileError
from sbpgmon.model import Kind
from tests.unit.catalog_files import DESIGN, GOOD, Write, with_columns


def test_the_example_of_the_design(write: Write) -> None:
    metric = parse_metric([write(DESIGN, "stat_wal.sql")])
    assert metric.name == "stat_wal"
    assert metric.title == "WAL written since the server's counters were last reset"
    assert metric.description == "A jump right after a checkpoint is full-page images, not load."
    assert (metric.interval_seconds, metric.timeout_seconds) == (60, 2)
    assert (metric.scope, metric.role, metric.missing, metric.nulls) == ("instance", "any", "unknown", "unknown")
    assert [str(need) for need in metric.requires] == ["pg_monitor"]
    assert [(c.name, c.kind, c.type.name, c.unit) for c in metric.columns] == [
        ("wal_records", Kind.COUNTER, "bigint", ""),
        ("wal_bytes", Kind.COUNTER, "numeric", "bytes"),
        ("stats_reset", Kind.RESET, "timestamptz", ""),
    ]
    assert metric.columns[1].description == "bytes generated"
    assert metric.variants[0].sql == "select wal_records, wal_bytes, stats_reset from pg_stat_wal"


def test_a_literal_is_kept_to_the_letter(write: Write) -> None:
    query = "select 1::bigint as wal_records -- '\u2028\x0b\x85'\nwhere 'a\x0cb' <> ''"
    metric = parse_metric([write(GOOD.replace("select 1::bigint as wal_records", query))])
    assert metric.variants[0].sql == query


def test_what_a_header_need_not_say(write: Write) -> None:
    metric = parse_metric([write(with_columns("x gauge double precision something"))])
    assert (metric.scope, metric.role, metric.missing, metric.nulls) == ("instance", "any", "unknown", "unknown")
    assert (metric.timeout_seconds, metric.requires, metric.description) == (5, (), "")
    assert metric.columns[0].type.name == "double precision"


def test_extensions_and_roles_can_be_required(write: Write) -> None:
    text = GOOD.replace(
        "-- missing", "-- requires: pg_monitor, extension pg_stat_statements 1.10, extension x\n-- missing"
    )
    metric = parse_metric([write(text)])
    assert [str(need) for need in metric.requires] == [
        "pg_monitor",
        "extension pg_stat_statements 1.10",
        "extension x",
    ]
    assert metric.requires[1].version == (1, 10)


@pytest.mark.parametrize("value", ["zero", "unknown"])
@pytest.mark.parametrize("key", ["missing", "nulls"])
def test_what_absent_rows_and_nulls_mean(write: Write, key: str, value: str) -> None:
    metric = parse_metric([write(GOOD.replace("missing: unknown", f"{key}: {value}"))])
    assert getattr(metric, key) == value


@pytest.mark.parametrize(
    ("interval", "tier"),
    [("1s", "raw"), ("15s", "raw"), ("60s", "1m"), ("10m", "5m"), ("1h", "1h"), ("7d", "1d")],
)
def test_the_finest_tier_fits_the_interval(write: Write, interval: str, tier: str) -> None:
    assert parse_metric([write(GOOD.replace("60s", interval))]).tier == tier


@pytest.mark.parametrize(
    ("interval", "tiers", "expected"),
    [
        ("15s", "", ("raw", "1m", "5m", "1h")),
        ("60s", "", ("1m", "5m", "1h")),
        ("10m", "", ("5m", "1h")),
        ("7d", "", ("1d",)),
        ("15s", "raw 1h", ("raw", "1h")),
        ("60s", "raw, 1h, 1d", ("raw", "1h", "1d")),
    ],
)
def test_tiers_are_chosen_or_follow_the_interval(
    write: Write, interval: str, tiers: str, expected: tuple[str, ...]
) -> None:
    text = GOOD.replace("60s", f"{interval}\n-- tiers: {tiers}" if tiers else interval)
    assert parse_metric([write(text)]).tiers == expected


def test_a_word_with_a_colon_is_prose_only_above_the_keys(write: Write) -> None:
    metric = parse_metric([write("-- A title.\n--\n-- Watch out: this is prose.\n--\n" + GOOD.split("\n--\n", 2)[2])])
    assert metric.description == "Watch out: this is prose."


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("-- missing: unknown", "-- intervall: 3s", 6, "unknown key `intervall:`"),
        ("-- missing: unknown", "-- interval: 3s", 6, r"`interval:` stands twice \(first in line 5\)"),
        ("-- interval: 60s\n", "", 1, "the header has no `interval:`"),
        ("interval: 60s", "interval: often", 5, "'often' is not a duration"),
        ("interval: 60s", "interval: 500ms", 5, "shorter than a second"),
        ("interval: 60s", "interval:", 5, "'' is not a duration"),
        ("timeout: 2s", "timeout: 0s", 7, "more than 0"),
        ("timeout: 2s", "timeout: -2s", 7, "is not a duration"),
        ("missing: unknown", "missing: none", 6, "`missing: none` is not one of unknown, zero"),
        ("missing: unknown", "tiers: 1m 2h", 6, "'2h' is not a tier: raw, 1m, 5m, 1h, 1d"),
        ("missing: unknown", "tiers: 1h 1m", 6, "do not nest: each once, the finest first"),
        ("missing: unknown", "tiers: 1m 1m", 6, "do not nest"),
        ("missing: unknown", "tiers: 5m 1h", 6, "5m is coarser than the interval"),
        ("missing: unknown", "nulls: none", 6, "`nulls: none` is not one of unknown, zero"),
        ("missing: unknown", "scope: cluster", 6, "`scope: cluster` is not one of instance, database"),
        ("missing: unknown", "role: replica", 6, "`role: replica` is not one of any, primary, standby"),
        ("missing: unknown", "requires: extension x one", 6, "'one' is not an extension's version"),
        ("missing: unknown", "requires: pg_monitor or so", 6, "'pg_monitor or so' is neither a predefined role"),
        ("missing: unknown", "prose again", 6, "'prose again' is neither a key nor a column"),
        ("--   wal_records  counter  bigint  records generated\n", "", 8, "`columns:` lists no column"),
        ("select 1::bigint as wal_records\n", "", 9, "there is no query below the header"),
        ("-- WAL written since the server's counters were last reset.\n--\n"
         "-- A jump right after a checkpoint is full-page images, not load.\n--\n", "", 1, "does not begin with"),
    ],
)  # fmt: skip
def test_a_broken_header_says_where(write: Write, old: str, new: str, line: int, what: str) -> None:
    assert old in GOOD
    path = write(GOOD.replace(old, new))
    with pytest.raises(QueryFileError, match=what) as broken:
        parse_metric([path])
    assert broken.value.what.startswith(f"{path}:{line}: ")
    assert broken.value.way_out


@pytest.mark.parametrize(
    ("columns", "line", "what"),
    [
        (["x gauge"], 4, "is not `name kind type description"),
        (["x measure bigint y"], 4, "'measure' is not a kind: key, counter, gauge, info, reset"),
        (["x counter int8 y"], 4, "a counter cannot be 'int8'"),
        (["x counter text y"], 4, "a counter cannot be 'text'"),
        (["x counter timestamptz y"], 4, "a counter cannot be 'timestamptz'"),
        (["x counter real y"], 4, "a counter cannot be 'real'"),
        (["x key numeric y", "g gauge bigint z"], 4, "a key cannot be 'numeric'"),
        (["x key double precision y", "g gauge bigint z"], 4, "a key cannot be 'double precision'"),
        (["x gauge boolean y"], 4, "a gauge cannot be 'boolean'"),
        (["x reset bigint y", "g gauge bigint z"], 4, "a reset cannot be 'bigint'"),
        (["x gauge bigint"], 4, "the column x has no description"),
        (["x gauge bigint [bytes]"], 4, "the column x has no description"),
        (["g gauge bigint y", "g gauge bigint y"], 5, "the column g stands twice"),
        (["G gauge bigint y"], 4, "'G' cannot be a column's name"),
        (["1st gauge bigint y"], 4, "'1st' cannot be a column's name"),
        ([f"{'x' * 60} gauge bigint y"], 4, "cannot be a column's name"),
        (["k key text y"], 4, "there is no counter, gauge or info column"),
        (["g gauge bigint y", "g_max gauge bigint z"], 5, "g_max is made from the gauge g"),
        (["g gauge bigint y", "g_n gauge bigint z"], 5, "g_n is made from the gauge g"),
        *[([f"{name} gauge bigint y"], 4, f"'{name}' cannot be a column's name")
          for name in ("time", "tier", "target", "target_id", "series_id", "ts", "quality", "valid_from", "valid_to",
                       "at", "covered_seconds")],
    ],
)  # fmt: skip
def test_a_broken_column_says_where(write: Write, columns: list[str], line: int, what: str) -> None:
    path = write(with_columns(*columns))
    with pytest.raises(QueryFileError, match=what) as broken:
        parse_metric([path])
    assert broken.value.what.startswith(f"{path}:{line}: ")


@pytest.mark.parametrize("kind", ["smallint", "integer", "bigint", "numeric", "real", "double precision"])
def test_a_gauge_can_be_any_number(write: Write, kind: str) -> None:
    assert parse_metric([write(with_columns(f"x gauge {kind} y [bytes]"))]).columns[0].unit == "bytes"


@pytest.mark.parametrize(
    "query",
    [
        "select 1; select 2",
        "select 1;;select 2",
        "select 'a;b'; select 2",
        "select 1; -- the first\nselect 2",
        "select 'it''s'; drop table x",
        'select "a;b" from x; select 2',
    ],
)
def test_more_than_one_statement_is_refused(write: Write, query: str) -> None:
    with pytest.raises(QueryFileError, match="more than one statement"):
        parse_metric([write(with_columns("x gauge bigint y", query=query))])


@pytest.mark.parametrize(
    "query",
    [
        "select 1",
        "select 1;",
        "select 1 ;\n\n",
        "select string_agg(x, ';') from y",
        "select 'it''s; fine'",
        "select 1 -- one; two",
        "select 1 /* one; two */ + 1",
        "select 1 /* don't; */ + 1",
        "select 1 -- don't;\n+ 1",
        'select "a;b" from x',
        "select $$;$$, $x$a;b$x$",
        "select E'it\\'s; fine'",
    ],
)
def test_a_semicolon_in_a_string_or_a_comment_is_none(write: Write, query: str) -> None:
    metric = parse_metric([write(with_columns("x gauge bigint y", query=query))])
    assert metric.variants[0].sql == query.strip().rstrip(";").strip()


def test_comments_below_the_header_belong_to_the_query(write: Write) -> None:
    metric = parse_metric([write(with_columns("x gauge bigint y", query="select\n-- interval: 3s\n1"))])
    assert metric.interval_seconds == 60
    assert "-- interval: 3s" in metric.variants[0].sql


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "x.sql"
    path.write_bytes(b"-- \xff\xfe")
    with pytest.raises(QueryFileError, match="cannot be read") as broken:
        parse_metric([path])
    assert broken.value.what.startswith(f"{path}:1: ")


def test_an_empty_file(write: Write) -> None:
    with pytest.raises(QueryFileError, match="no query below the header"):
        parse_metric([write("")])


@pytest.mark.parametrize(("query", "line"), [("\n\nselect 1\n/* a\nb */ ;\nselect 2", 9), ("select 1; select 2", 5)])
def test_a_second_statement_is_found_where_it_is(write: Write, query: str, line: int) -> None:
    path = write(with_columns("x gauge bigint y", query=query))
    with pytest.raises(QueryFileError, match="more than one statement") as broken:
        parse_metric([path])
    assert broken.value.what.startswith(f"{path}:{line}: ")


def test_a_constant_null_in_a_comment_is_not_a_lacking_column(write: Write) -> None:
    query = "select 1::bigint as x -- or null::bigint as x, 'null::bigint as x'"
    assert not parse_metric([write(with_columns("x gauge bigint y", query=query))]).variants[0].lacks
    query = 'select null::bigint as "x"'
    assert parse_metric([write(with_columns("x gauge bigint y", query=query))]).variants[0].lacks == {"x"}


@pytest.mark.parametrize("name", ["wal.txt", "My Metric.sql"])
def test_one_file_with_a_wrong_name(write: Write, name: str) -> None:
    path = write(GOOD, name)
    with pytest.raises(QueryFileError, match="name") as broken:
        parse_metric([path])
    assert broken.value.what.startswith(f"{path}:1: ")


AGENT = """\
-- What the agent counts itself.
--
-- source: agent
-- deltas: yes
-- interval: 60s
-- missing: zero
-- columns:
--   name   key      text    what
--   count  counter  bigint  how often
"""


def test_a_metric_that_the_agent_makes_has_no_query(write: Write) -> None:
    metric = parse_metric([write(AGENT)])
    assert (metric.has_deltas, metric.is_derived, metric.has_last) == (True, False, False)
    assert metric.variants[0].sql == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (AGENT + "select 1\n", "is one file without a query"),
        (AGENT.replace("-- deltas: yes", "-- uses: tenancy"), "is one file without a query"),
        (AGENT.replace("counter  bigint", "gauge    bigint"), "`deltas: yes` is for a metric with `source: agent`"),
        (
            GOOD.replace("-- missing", "-- deltas: yes\n-- missing"),
            "`deltas: yes` is for a metric with `source: agent`",
        ),
        (GOOD.replace("-- missing", "-- fresh: maybe\n-- missing"), "`fresh: maybe` is not one of counts, unknown"),
        (AGENT.replace("-- source: agent\n-- deltas: yes\n", ""), "there is no query below the header"),
    ],
)
def test_keys_of_a_metric_that_the_agent_makes(write: Write, text: str, problem: str) -> None:
    with pytest.raises(QueryFileError, match=re.escape(problem)):
        parse_metric([write(text)])


def test_a_metric_names_the_parts_that_it_uses(write: Write) -> None:
    metric = parse_metric([write(GOOD.replace("-- missing", "-- uses: tenancy, tenant_schema\n-- missing"))])
    assert metric.uses == ("tenancy", "tenant_schema")
