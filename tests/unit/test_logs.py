"""The log: as text or JSON, on stderr; what repeats is said once."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

import pytest

from sbpgmon.logs import LOGGER, Repeats, configure


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = LOGGER.handlers[:], LOGGER.level, LOGGER.propagate
    yield
    LOGGER.handlers[:], LOGGER.propagate = before[0], before[2]
    LOGGER.setLevel(before[1])


@pytest.fixture
def said() -> list[str]:
    """What is logged: level, message, target, metric."""
    lines: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            where = "/".join(str(getattr(record, field, "")) for field in ("target", "metric"))
            lines.append(f"{record.levelname} {record.getMessage()} {where}")

    LOGGER.handlers[:] = [Listener()]
    LOGGER.setLevel(logging.DEBUG)
    return lines


def test_an_error_that_repeats_is_said_once_and_counted(said: list[str]) -> None:
    repeats = Repeats()
    for _ in range(5):
        repeats.error("app", "locks", "no such table")
    assert said == ["ERROR no such table app/locks"]
    repeats.ok("app", "locks")
    assert said[1:] == ["INFO ended after 5 times: no such table app/locks"]
    repeats.ok("app", "locks")
    assert len(said) == 2


def test_an_error_that_came_once_ends_without_a_word(said: list[str]) -> None:
    repeats = Repeats()
    repeats.error("app", "locks", "no such table")
    repeats.ok("app", "locks")
    assert said == ["ERROR no such table app/locks"]


def test_another_error_at_the_same_place_is_new(said: list[str]) -> None:
    repeats = Repeats()
    for message in ("one", "one", "two", "one"):
        repeats.error("app", "locks", message)
    assert said == [
        "ERROR one app/locks",
        "INFO ended after 2 times: one app/locks",
        "ERROR two app/locks",
        "ERROR one app/locks",
    ]


def test_the_same_error_at_another_place_is_new(said: list[str]) -> None:
    repeats = Repeats()
    for target, metric in (("a", "x"), ("b", "x"), ("a", "y"), ("a", "x")):
        repeats.error(target, metric, "no")
    assert said == ["ERROR no a/x", "ERROR no b/x", "ERROR no a/y"]


def test_an_error_that_comes_back_is_said_again(said: list[str]) -> None:
    repeats = Repeats()
    repeats.error("a", "x", "no")
    repeats.ok("a", "x")
    repeats.error("a", "x", "no")
    assert said == ["ERROR no a/x"] * 2


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure("text")
    LOGGER.warning("100 %% of %s", "it", extra={"target": "app", "metric": "locks"})
    LOGGER.debug("not asked for")
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z WARNING 100 % of it target=app metric=locks\n", err)


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", logging.DEBUG)
    LOGGER.info('a "quoted"\nline – and more', extra={"target": "app"})
    try:
        raise ValueError("boom")
    except ValueError:
        LOGGER.exception("a bug")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z", first.pop("time"))
    assert first == {"level": "info", "message": 'a "quoted"\nline – and more', "target": "app"}
    assert second["level"] == "error"
    assert second["traceback"].endswith("ValueError: boom")
