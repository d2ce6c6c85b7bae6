"""Logs to stderr, as text or JSON; an error that repeats is logged once and counted."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

LOGGER = logging.getLogger("sbpgmon")
_FIELDS = ("target", "metric")


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002
        return _utc(record)

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text + "".join(f" {f}={getattr(record, f)}" for f in _FIELDS if getattr(record, f, None))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        value: dict[str, object] = {
            "time": _utc(record),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        value |= {f: getattr(record, f) for f in _FIELDS if getattr(record, f, None)}
        if record.exc_info:
            value["traceback"] = self.formatException(record.exc_info)
        return json.dumps(value, ensure_ascii=False)


def _utc(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def configure(form: Literal["text", "json"], level: int = logging.INFO) -> None:
    """Sends the agent's log to stderr; called once by the command line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(level)
    LOGGER.propagate = False


def tell_findings(target: str, lines: Iterable[str]) -> None:
    """Findings that opened are warnings; that they closed is no more than news."""
    for line in lines:
        LOGGER.log(logging.WARNING if " opened: " in line else logging.INFO, "%s", line, extra={"target": target})


class Repeats:
    """Lets an error through when it is new at its place, counts it while it repeats, says so when it ends."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[str, int]] = {}

    def error(self, target: str, metric: str, message: str) -> None:
        before, count = self._seen.get((target, metric), ("", 0))
        if before == message:
            self._seen[target, metric] = (message, count + 1)
            return
        self.ok(target, metric)
        self._seen[target, metric] = (message, 1)
        LOGGER.error("%s", message, extra={"target": target, "metric": metric})

    def ok(self, target: str, metric: str) -> None:
        message, count = self._seen.pop((target, metric), ("", 0))
        if count > 1:
            LOGGER.info("ended after %d times: %s", count, message, extra={"target": target, "metric": metric})
