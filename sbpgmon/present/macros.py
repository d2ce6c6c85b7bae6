"""What Grafana makes of a panel's SQL before PostgreSQL sees it: variables, then macros; and its interval.

The facts are Grafana's own:
- variables, in the browser: grafana/grafana public/app/features/variables/utils.ts (variableRegex, 03692907);
  grafana/scenes packages/scenes/src/variables/interpolation/sceneInterpolator.ts and formatRegistry.ts
  (sqlStringFormatter, 06bf62db); grafana/grafana public/app/plugins/datasource/grafana-postgresql-datasource/
  datasource.ts (interpolateVariable, 04282cd9) and PostgresQueryModel.ts (quoteLiteral, 19ac8e57);
- macros, on the server: grafana/grafana pkg/tsdb/grafana-postgresql-datasource/macros.go (sExpr, evaluateMacro,
  0577088) and sqleng/sql_engine.go (Interpolate, 043dd88a); grafana-plugin-sdk-go backend/gtime/gtime.go (126b99e0);
- the interval: grafana/grafana packages/grafana-data/src/datetime/rangeutil.ts (calculateInterval, roundInterval,
  secondsToHms, 0aff354e).

Four things are stricter here. What Grafana leaves in place because it does not know it is an error, as PostgreSQL would
make it one. Formats other than `sqlstring` are refused, since none of them quotes for PostgreSQL. A list without values
becomes NULL, where Grafana leaves nothing and `IN ()` fails. And a value stays a value: Grafana expands macros in it
too, so that a name like `$__time(` takes the quote behind it along.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from sbpgmon.errors import PanelError
from sbpgmon.panels import Variable

_VARIABLE = re.compile(
    r"\$(?P<plain>\w+)|\[\[(?P<old>\w+?)(?::(?P<old_format>\w+))?\]\]"
    r"|\$\{(?P<braced>\w+)(?:\.(?P<path>[^:^}]+))?(?::(?P<format>[^}]+))?\}",
    re.ASCII,
)
_IN = re.compile(r"\bin \((\$[a-z][a-z0-9_]*)\)", re.IGNORECASE)
_MACRO = re.compile(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)")
_HELD = re.compile("\0([0-9]+)\0")  # where a value goes; PostgreSQL takes no NUL, so that nothing else looks like it
_DAYS = re.compile(r"([0-9]+)([dw])\Z")
_DURATION = re.compile(r"[-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+\Z")
_PART = re.compile(r"([0-9.]+)(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
    "d": 86400 * 10**9, "w": 7 * 86400 * 10**9,
}  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Below the first it is the second, in milliseconds.
_ROUNDED = (
    (10, 1), (15, 10), (35, 20), (75, 50), (150, 100), (350, 200), (750, 500), (1500, 1000), (3500, 2000),
    (7500, 5000), (12500, 10000), (17500, 15000), (25000, 20000), (45000, 30000), (90000, 60000), (210000, 120000),
    (450000, 300000), (750000, 600000), (1050000, 900000), (1500000, 1200000), (2700000, 1800000), (5400000, 3600000),
    (9000000, 7200000), (16200000, 10800000), (32400000, 21600000), (86400000, 43200000), (604800000, 86400000),
    (1814400000, 604800000), (3628800000, 2592000000),
)  # fmt: skip
_YEAR_MS = 31536000000


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at: the time range, the interval of a point, and the value or values of each variable."""

    start: datetime
    end: datetime
    interval_ms: int
    values: Mapping[str, str | Sequence[str]]


def expand(sql: str, variables: Iterable[Variable], scope: Scope) -> str:
    """The SQL of a panel or a variable as PostgreSQL gets it.

    `$name` of a variable that takes several values becomes `'a','b'`; of a single one, the value with its quotes
    doubled, to be written between quotes; `${name:sqlstring}` is quoted either way, but a double quote within becomes
    `\\"`, which PostgreSQL takes for two characters. Raises PanelError.
    """
    known = {variable.name: variable for variable in variables}
    held: list[str] = []

    def hold(match: re.Match[str]) -> str:
        name = match["plain"] or match["old"] or match["braced"]
        wanted = match["old_format"] or match["format"] or ""
        if name == "__interval_ms":
            return str(scope.interval_ms)
        if name == "__interval":
            return interval_text(scope.interval_ms)
        if name not in known and name.startswith("__"):
            return match[0]
        if name not in known or match["path"]:
            raise PanelError(
                f"The query names {match[0]}, which is no variable of its dashboard.",
                f"There are: {', '.join(sorted(known)) or 'none'}; each is a file of queries/panels/variables.",
            )
        held.append(_written(known[name], wanted, scope.values))
        return f"\0{len(held) - 1}\0"

    text = _VARIABLE.sub(hold, sql)
    text = text.replace("$__unixEpochFrom()", str(_seconds(scope.start)))
    text = text.replace("$__unixEpochTo()", str(_seconds(scope.end)))
    text = _MACRO.sub(lambda match: _evaluate(_macro_of(match), match[2], scope), text)
    if left := _VARIABLE.search(text):
        raise _unknown(left[0])
    return _HELD.sub(lambda match: held[int(match[1])], text)


def for_grafana(sql: str) -> str:
    """The SQL as a dashboard should carry it: `IN ($name)` becomes `= ANY (array[$name]::text[])`.

    Where a variable has no values (an empty store; tenants where no tenancy is declared) Grafana leaves nothing between
    the brackets: `IN ()` is an error, and an array may be empty. PostgreSQL plans both alike.
    """
    return _IN.sub(r"= any (array[\1]::text[])", sql)


def interval_ms(range_seconds: float, points: int, minimum_ms: int = 1) -> int:
    """The interval that Grafana asks for: `points` is the panel's width in pixels, the minimum the data source's."""
    raw = range_seconds * 1000 / points
    return max(minimum_ms, next((rounded for below, rounded in _ROUNDED if raw < below), _YEAR_MS))


def interval_text(milliseconds: int) -> str:
    """As `$__interval` has it: `30s`, `5m`, `1h`, `1d`; the largest unit that it holds, and nothing of the rest."""
    for unit, size in (("y", _YEAR_MS), ("d", 86400000), ("h", 3600000), ("m", 60000), ("s", 1000)):
        if milliseconds >= size:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def _written(variable: Variable, wanted: str, values: Mapping[str, str | Sequence[str]]) -> str:
    if variable.name not in values:
        raise PanelError(f"The variable {variable.name} has no value.", "Choose one.")
    value = values[variable.name]
    if wanted not in ("", "sqlstring"):
        raise PanelError(
            f"The query writes the variable {variable.name} in the format {wanted}, which does not quote for "
            "PostgreSQL.",
            f"Write IN (${variable.name}) or ${{{variable.name}:sqlstring}}.",
        )
    if isinstance(value, str) and not wanted and not variable.is_multi:
        return value.replace("'", "''")
    listed = [value] if isinstance(value, str) else value
    if not listed:
        return "NULL"
    if wanted:
        listed = [text.replace('"', '\\"') for text in listed]
    return ",".join("'" + text.replace("'", "''") + "'" for text in listed)


def _macro_of(match: re.Match[str]) -> str:
    """The macro's name. `$__timeGroup(…),` names its column, as it did once; of equal calls the first decides."""
    after = match.string.index(match[0]) + len(match[0])
    return "__timeGroupAlias" if match[1] == "__timeGroup" and match.string[after : after + 1] == "," else match[1]


def _evaluate(name: str, arguments: str, scope: Scope) -> str:
    args = [argument.strip(" ") for argument in arguments.split(",")]
    column, start, end = args[0], scope.start, scope.end
    match name:
        case "__time":
            return f'{column} AS "time"'
        case "__timeEpoch":
            return f'extract(epoch from {column}) as "time"'
        case "__timeFilter":
            return f"{column} BETWEEN '{_text(start)}' AND '{_text(end)}'"
        case "__timeFrom":
            return f"'{_text(start)}'"
        case "__timeTo":
            return f"'{_text(end)}'"
        case "__timeGroup":
            seconds = _bucket(name, args)
            return f"floor(extract(epoch from {column})/{seconds})*{seconds}"
        case "__unixEpochGroup":
            seconds = _bucket(name, args)
            return f"floor(({column})/{seconds})*{seconds}"
        case "__timeGroupAlias" | "__unixEpochGroupAlias":
            return f'{_evaluate(name.removesuffix("Alias"), arguments, scope)} AS "time"'
        case "__unixEpochFilter":
            return f"{column} >= {_seconds(start)} AND {column} <= {_seconds(end)}"
        case "__unixEpochNanoFilter":
            return f"{column} >= {_nanoseconds(start)} AND {column} <= {_nanoseconds(end)}"
        case "__unixEpochNanoFrom":
            return str(_nanoseconds(start))
        case "__unixEpochNanoTo":
            return str(_nanoseconds(end))
    raise _unknown(f"${name}")


def _unknown(found: str) -> PanelError:
    return PanelError(
        f"The query names {found}, which is no macro of Grafana's PostgreSQL data source.",
        "Write $__timeFrom(), $__timeTo(), $__interval or $__interval_ms.",
    )


def _bucket(name: str, args: Sequence[str]) -> str:
    """The seconds of a bucket, as Go writes a float64."""
    if len(args) != 2:
        raise PanelError(
            f"The macro ${name} needs a column and an interval, and has {len(args)} arguments.",
            "Nothing is filled in: what is not known stays empty.",
        )
    text = args[1].strip("'")
    parts = _DAYS.findall(text) or (_PART.findall(text) if _DURATION.match(text) else [])
    total = sum((Fraction(number) * _NANOSECONDS[unit] for number, unit in parts), Fraction(0))
    if not parts or not total:
        raise PanelError(f"The macro ${name} cannot read the interval {args[1]}.", "Write 30s, 5m, 1h or 1d.")
    seconds = total / 10**9 * (-1 if text.startswith("-") else 1)
    return str(seconds.numerator) if seconds.denominator == 1 else repr(float(seconds))


def _text(time: datetime) -> str:
    """RFC 3339 in UTC, without the zeros that end a fraction."""
    moment = time.astimezone(UTC)
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _nanoseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000


def _seconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(seconds=1)
