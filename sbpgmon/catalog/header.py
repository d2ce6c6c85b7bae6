"""Reads the header of an SQL file: the `--` lines above the query.

Prose first (its first line is the title), then `key: value` lines, the last of which is `columns:` with one
indented line a column. docs/metrics.md and CONTRIBUTING.md show it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sbpgmon.config import parse_seconds
from sbpgmon.errors import QueryFileError
from sbpgmon.model import AGENT, Requirement

_KEY = re.compile(r"^([a-z][a-z_]*):(?:\s+(.*))?$")
EXTSCHEMA = re.compile(r"@extschema:(\w+)@")  # stands for the schema that an extension is in

# Strings, comments and quoted identifiers: what is in them is not the query's own.
_QUOTED = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | (?<![\w$])[eE]'(?:[^'\\]|\\.|'')*' | '[^']*' | "[^"]*" | \$(\w*)\$.*?\$\1\$""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Header:
    """What stands above a query. Line numbers are 1-based, for messages."""

    path: Path
    title: str
    description: str
    values: Mapping[str, tuple[int, str]]  # key -> line, value
    columns: tuple[tuple[int, str], ...]  # line, text
    sql: str
    sql_line: int

    def fail(self, line: int, problem: str, way_out: str = "") -> QueryFileError:
        return QueryFileError(f"{self.path}:{line}: {problem}.", way_out or "See CONTRIBUTING.md, «Add a metric».")

    def value(self, key: str, default: str | None = None) -> tuple[int, str]:
        """Line and value of a key; raises QueryFileError when it is absent and has no default."""
        if key in self.values:
            return self.values[key]
        if default is None:
            raise self.fail(1, f"the header has no `{key}:`")
        return 1, default


def parse_header(path: Path, keys: frozenset[str]) -> Header:
    """The header and the query of one file; raises QueryFileError with file and line."""
    try:
        # Not splitlines(): a literal may hold what Unicode calls a line's end.
        lines = path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise QueryFileError(f"{path}:1: cannot be read: {error}.", "It must be a UTF-8 text file.") from None
    end = next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))
    values: dict[str, tuple[int, str]] = {}
    columns: list[tuple[int, str]] = []
    prose: list[str] = []
    in_columns = False

    def fail(line: int, problem: str) -> QueryFileError:
        return QueryFileError(f"{path}:{line}: {problem}.", "See CONTRIBUTING.md, «Add a metric».")

    for number, raw in enumerate(lines[:end], start=1):
        line = raw[2:].rstrip()
        body = line[1:] if line.startswith((" ", "\t")) else line
        match = _KEY.match(body)
        if in_columns and body.startswith((" ", "\t")):
            columns.append((number, body.strip()))
        elif match:
            key, value = match[1], (match[2] or "").strip()
            if key not in keys:
                raise fail(number, f"unknown key `{key}:`; known are {', '.join(sorted(keys))}")
            if key in values:
                raise fail(number, f"`{key}:` stands twice (first in line {values[key][0]})")
            # Two spaces or more begin a remark.
            values[key] = number, re.split(r"\s{2,}", value)[0]
            in_columns = key == "columns"
        elif not body.strip():
            in_columns = False
            if not values:
                prose.append("")
        elif values:
            raise fail(number, f"{body.strip()!r} is neither a key nor a column")
        else:
            prose.append(body.strip())
    sql = "\n".join(lines[end:]).strip().rstrip(";").rstrip()
    sql_line = next((n for n, line in enumerate(lines[end:], start=end + 1) if line.strip()), end + 1)
    if not sql and values.get("source", (0, ""))[1] != AGENT:
        raise fail(len(lines) or 1, "there is no query below the header")
    title, _, rest = "\n".join(prose).strip().partition("\n")
    return Header(path, title.strip(), rest.strip(), values, tuple(columns), sql, sql_line)


def single_statement(header: Header) -> str:
    """The query without strings and comments, line by line; raises QueryFileError for more than one statement."""
    code = _QUOTED.sub(_blank, header.sql)
    if ";" in code:
        line = header.sql_line + code[: code.index(";")].count("\n")
        raise header.fail(line, "the file holds more than one statement", "It is one SELECT, without a `;` in it.")
    return code


def _blank(match: re.Match[str]) -> str:
    """Lines stay where they are, identifiers what they are."""
    return match[0].replace(";", " ") if match[0].startswith('"') else " " + "\n" * match[0].count("\n")


def requirements(header: Header) -> tuple[Requirement, ...]:
    """The `requires:` of a header; raises QueryFileError."""
    line, text = header.value("requires", "")
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        words = part.split()
        if words[0] == "extension" and len(words) in (2, 3):
            version = words[2] if len(words) == 3 else ""
            if not re.fullmatch(r"(\d+(\.\d+)*)?", version):
                raise header.fail(line, f"{version!r} is not an extension's version")
            found.append(Requirement("", words[1], tuple(int(n) for n in version.split(".") if n)))
        elif len(words) == 1 and words[0].startswith("pg_"):
            found.append(Requirement(role=words[0]))
        else:
            raise header.fail(line, f"{part!r} is neither a predefined role (pg_…) nor `extension NAME [VERSION]`")
    return tuple(found)


def extensions_required(header: Header, requires: Iterable[Requirement]) -> None:
    """Raises QueryFileError where the SQL names an extension's schema that is not required."""
    for match in EXTSCHEMA.finditer(header.sql):
        if match[1] not in {need.extension for need in requires}:
            line = header.sql_line + header.sql[: match.start()].count("\n")
            raise header.fail(line, f"{match[0]} needs `requires: extension {match[1]}`")


def named(header: Header, key: str) -> tuple[str, ...]:
    """The names that a key lists, with commas or blanks; none when it is absent."""
    _, text = header.value(key, "")
    return tuple(part for part in re.split(r"[\s,]+", text) if part)


def choice(header: Header, key: str, default: str, choices: Sequence[str]) -> str:
    """A key's value out of a few; raises QueryFileError."""
    line, value = header.value(key, default)
    if value not in choices:
        raise header.fail(line, f"`{key}: {value}` is not one of {', '.join(choices)}")
    return value


def seconds(header: Header, line: int, text: str) -> float:
    """A duration in seconds, more than 0; raises QueryFileError."""
    try:
        found = parse_seconds(text)
    except ValueError as error:
        raise header.fail(line, str(error)) from None
    if found <= 0:
        raise header.fail(line, "a duration must be more than 0")
    return found
