"""Statement texts: no literal of a utility statement survives; what PostgreSQL normalised stays as it is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbpgmon.collect.texts import scrub

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM bets WHERE id = $1",
        "  \n\tselect $1",
        "(select $1) union (select $2)",
        "((values ($1)))",
        "-- a comment\nselect $1",
        "/* one; 'two' */ insert into t values ($1)",
        "/**//**/select $1",
        "WITH x AS (SELECT $1) SELECT * FROM x",
        "select a::numeric(10, 2) from t where b = $1 order by 1",
        "DELETE FROM t WHERE a = $1",
        "merge into t using s on t.a = s.a when matched then delete",
        "values ($1)",
        "TABLE t",
    ],
)
def test_normalised_statements_stay_as_they_are(query: str) -> None:
    assert scrub(query) == query


@pytest.mark.parametrize(
    ("query", "scrubbed"),
    [
        ("update t set a = $1 where b = 'c'", "update t set a = $1 where b = ?"),
        ("select * from cards where number = 4111111111111111", "select * from cards where number = ?"),
        ("select 'a', $$b$$, E'c' from t limit $1", "select ?, ?, ? from t limit $1"),
    ],
)
def test_a_text_that_was_entered_as_it_was_written(query: str, scrubbed: str) -> None:
    assert scrub(query) == scrubbed


@pytest.mark.parametrize(
    ("query", "scrubbed"),
    [
        # passwords
        ("ALTER ROLE bob PASSWORD 's3cr3t'", "ALTER ROLE bob PASSWORD ?"),
        ("create user bob encrypted password 's3''cr3t'", "create user bob encrypted password ?"),
        ("CREATE USER MAPPING FOR bob SERVER s OPTIONS (user 'bob', password 's3cr3t')",
         "CREATE USER MAPPING FOR bob SERVER s OPTIONS (user ?, password ?)"),
        ("CREATE SUBSCRIPTION s CONNECTION 'host=h password=s3cr3t' PUBLICATION p",
         "CREATE SUBSCRIPTION s CONNECTION ? PUBLICATION p"),
        # strings
        (r"ALTER ROLE bob PASSWORD E's3\'cr3t\\'", "ALTER ROLE bob PASSWORD ?"),
        (r"SET x = e'a\\', y = 'b'", "SET x = ?, y = ?"),
        ("SET x = U&'d\\0061t' UESCAPE '!'", "SET x = ? UESCAPE ?"),
        ("SET x = B'01', X'1F', N'abc'", "SET x = ?, ?, ?"),
        ("SET x = date'2020-01-01'", "SET x = date?"),
        ("SET x = 'a'\n'b'", "SET x = ?\n?"),
        ("SET x = ''", "SET x = ?"),
        # dollar quotes
        ("DO $$BEGIN PERFORM set_config('x', 's3cr3t', false); END$$", "DO ?"),
        ("DO LANGUAGE plpgsql $body$ a $$ b $$ 'c' $body$;", "DO LANGUAGE plpgsql ?;"),
        ("CREATE FUNCTION f() RETURNS int AS $_$select 's3cr3t'$_$ LANGUAGE sql",
         "CREATE FUNCTION f() RETURNS int AS ? LANGUAGE sql"),
        ("DO $ä$ s3cr3t $ä$", "DO ?"),
        # numbers
        ("SET statement_timeout = 12345", "SET statement_timeout = ?"),
        ("FETCH 100 FROM c1", "FETCH ? FROM c1"),
        ("SET x = 1.5e-3, .5, 5., 0x1F, 1_000, 0b101, 1e5", "SET x = ?, ?, ?, ?, ?, ?, ?"),
        ("SET x = -5", "SET x = -?"),
        ("CALL settle($1, 42)", "CALL settle($1, ?)"),
        # comments
        ("/* it's a comment */ ALTER ROLE bob PASSWORD 's3cr3t'", "/* it's a comment */ ALTER ROLE bob PASSWORD ?"),
        ("ALTER ROLE bob -- don't\nPASSWORD 's3cr3t'", "ALTER ROLE bob -- don't\nPASSWORD ?"),
        # identifiers
        ('ALTER ROLE "o\'brien" PASSWORD \'s3cr3t\'', 'ALTER ROLE "o\'brien" PASSWORD ?'),
        ('ALTER ROLE "a""b\'c" PASSWORD \'s3cr3t\'', 'ALTER ROLE "a""b\'c" PASSWORD ?'),
        ("DROP TABLE t1, t$2$, _x9", "DROP TABLE t1, t$2$, _x9"),
        ("DROP TABLE zähler1", "DROP TABLE zähler1"),
        # others
        ("COPY t FROM PROGRAM 'curl https://u:s3cr3t@h'", "COPY t FROM PROGRAM ?"),
        ("COPY (SELECT * FROM t WHERE a = 's3cr3t') TO STDOUT", "COPY (SELECT * FROM t WHERE a = ?) TO STDOUT"),
        ("SET app.token TO 's3cr3t'", "SET app.token TO ?"),
        ("EXPLAIN SELECT 's3cr3t'", "EXPLAIN SELECT ?"),
        ("CREATE TABLE t AS SELECT 's3cr3t' AS a", "CREATE TABLE t AS SELECT ? AS a"),
        ("DECLARE c CURSOR FOR SELECT 's3cr3t'", "DECLARE c CURSOR FOR SELECT ?"),
        ("EXECUTE p('s3cr3t', 5)", "EXECUTE p(?, ?)"),
        ("COMMENT ON TABLE t IS 's3cr3t'", "COMMENT ON TABLE t IS ?"),
        ("NOTIFY c, 's3cr3t'", "NOTIFY c, ?"),
        # SELECT INTO is CREATE TABLE AS in disguise, and PostgreSQL leaves its constants
        ("SELECT 's3cr3t' AS a INTO t", "SELECT ? AS a INTO t"),
        ("WITH x AS (SELECT 's3cr3t') SELECT * INTO TEMP t FROM x", "WITH x AS (SELECT ?) SELECT * INTO TEMP t FROM x"),
        # what does not end
        ("ALTER ROLE bob PASSWORD 's3cr3t", "ALTER ROLE bob PASSWORD ?"),
        ("ALTER ROLE bob PASSWORD E's3cr3t\\", "ALTER ROLE bob PASSWORD ?"),
        ("DO $x$ s3cr3t $y$", "DO ?"),
        ("ALTER ROLE bob /* s3cr3t 's3cr3t", "ALTER ROLE bob ?"),
        ('ALTER ROLE "bob \'s3cr3t\'', "ALTER ROLE ?"),
        ("", ""),
        ("<insufficient privilege>", "<insufficient privilege>"),
    ],
)  # fmt: skip
def test_utility_statements_keep_no_literal(query: str, scrubbed: str) -> None:
    assert scrub(query) == scrubbed


@pytest.mark.parametrize(
    "query",
    [
        # Where the string ends hangs on standard_conforming_strings: all that follows goes.
        r"CREATE USER MAPPING FOR b SERVER s OPTIONS (user 'dom\', password 's3cr3t')",
        r"CREATE USER MAPPING FOR b SERVER s OPTIONS (user 'it\'s', password 's3cr3t')",
        r"SET x = 'a\''s3cr3t'",
        # A comment in a comment.
        "ALTER ROLE b /* a /* b */ ' */ PASSWORD 's3cr3t'",
        "ALTER ROLE b /* a /* b */ PASSWORD 's3cr3t' */ PASSWORD 's3cr3t'",
        "/* /* */ select */ ALTER ROLE b PASSWORD 's3cr3t'",
        # An identifier that ends in a letter that could begin a string.
        r"SET timeE'a\' , 's3cr3t'",
        "SET x$e'a' , 's3cr3t'",
    ],
)
def test_what_is_ambiguous_is_scrubbed_rather_than_kept(query: str) -> None:
    assert SECRET not in scrub(query)


QUOTED = st.sampled_from(["'{}'", "E'{}'", "e'{}'", "$${}$$", "$x${}$x$", "U&'{}'", "N'{}'"])
FILLER = st.lists(
    st.sampled_from(
        [
            "bob",
            '"o\'x"',
            '"a""b"',
            "-- it's\n",
            "/* it's */",
            "$1",
            "(",
            ",",
            "x = ",
            "'y'",
            "E'\\''",
            "$$'$$",
            "5",
            "\n",
            "a1",
        ]
    ),
    max_size=8,
)


@given(FILLER, QUOTED, FILLER)
def test_a_secret_never_survives(before: list[str], quoted: str, after: list[str]) -> None:
    query = " ".join(["ALTER", *before, quoted.format(SECRET), *after])
    assert SECRET not in scrub(query)


@given(st.text(st.sampled_from("'\"$x/*-\\\n eE1.;a"), max_size=40))
def test_scrubbing_twice_changes_nothing_more(query: str) -> None:
    once = scrub("DO " + query)
    assert scrub(once) == once


@given(st.text(max_size=60))
def test_any_text_can_be_scrubbed(query: str) -> None:
    assert len(scrub(query)) <= len(query)


@pytest.mark.parametrize(
    "query",
    ["/**/" * 40 + "!", "/*" * 20_000, "--\n" * 20_000 + "!", "(" * 50_000, "ALTER " + '"' * 50_001,
     "DO " + "$a" * 30_000, "DO " + "$a$ $b" * 10_000, "DO " + "'\\" * 30_000, "DO " + "1e" * 30_000,
     "DO " + "e'" * 30_001],
)  # fmt: skip
def test_no_text_takes_long(query: str) -> None:
    began = time.perf_counter()
    scrub(query)
    assert time.perf_counter() - began < 2
