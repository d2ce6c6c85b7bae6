"""Checks out of SQL files: queries/checks/NAME.sql, and the parts that they share, queries/checks/parts/NAME.sql."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from sbpgmon.catalog.header import (
    Header,
    choice,
    extensions_required,
    named,
    parse_header,
    requirements,
    seconds,
    single_statement,
)
from sbpgmon.catalog.names import MAX_LENGTH, PATTERN
from sbpgmon.checks import BUILT_IN, PROBE, Check, Part
from sbpgmon.errors import QueryFileError
from sbpgmon.findings import SEVERITIES
from sbpgmon.model import Metric
from sbpgmon.tenancy import MODELS

CHECK_KEYS = frozenset(["kind", "model", "severity", "heuristic", "interval", "timeout", "requires", "uses"])
PART_KEYS = frozenset(["uses"])
KINDS = ("catalog", "data", "fingerprint")
TENANCY = "tenancy"  # the part that the agent itself brings: what is declared, or was detected
FIGURES = "tenant_figures"  # and the one that it brings for metrics: what the user's own SQL says of each tenant
BROUGHT = (TENANCY, FIGURES)
RESERVED = frozenset([*BUILT_IN, PROBE])
FINGERPRINT = "isolation_fingerprint"
_T = TypeVar("_T", Check, Part)


def load_checks(folder: Path, problems: list[QueryFileError]) -> list[Check]:
    """All checks of one folder; what is wrong with a file is added to `problems`, and that check left out."""
    return _load(folder, _parse_check, problems)


def load_parts(folder: Path, problems: list[QueryFileError]) -> list[Part]:
    """All parts of one folder, in the same way."""
    return _load(folder / "parts", load_part, problems)


def _load(folder: Path, parse: Callable[[Path], _T], problems: list[QueryFileError]) -> list[_T]:
    found = []
    for path in sorted(folder.glob("*.sql")):
        try:
            found.append(parse(path))
        except QueryFileError as error:
            problems.append(error)
    return found


def without_parts(item: Check | Part | Metric, parts: Mapping[str, Part]) -> list[str]:
    """The parts that are named and not there."""
    return [name for name in item.uses if name not in parts and name not in BROUGHT]


def parts_of(item: Check | Part | Metric, parts: Mapping[str, Part]) -> list[Part]:
    """The parts that a check needs, all of them there, each after those that it uses itself.

    Raises QueryFileError for a circle.
    """
    order: dict[str, Part] = {}

    def add(names: Iterable[str], above: tuple[str, ...]) -> None:
        for name in names:
            if name in above:
                path = parts[above[-1]].path
                raise QueryFileError(f"{path}:1: {' uses '.join((*above, name))}.", "Parts cannot use each other.")
            if name not in BROUGHT and name not in order:
                add(parts[name].uses, (*above, name))
                order[name] = parts[name]

    add(item.uses, ())
    return list(order.values())


def below_parts(item: Check | Part | Metric, sql: str, parts: Mapping[str, Part], brought: Mapping[str, str]) -> str:
    """SQL below the parts that `item` uses; `brought`: the SELECTs of the parts that the agent itself brings."""
    selects = [*brought.items(), *((part.name, part.sql) for part in parts_of(item, parts))]
    tables = ", ".join(f"{name} AS (\n{select}\n)" for name, select in selects)
    return f"WITH {tables}\nSELECT * FROM (\n{sql}\n) AS found"


def _parse_check(path: Path) -> Check:
    name = _name(path)
    if name in RESERVED:
        raise QueryFileError(f"{path}:1: {name} is what the agent itself calls a check.", "Rename the file.")
    header = parse_header(path, CHECK_KEYS)
    if not header.title:
        raise header.fail(1, "the header does not begin with a line that says what the check looks for")
    single_statement(header)
    line, _ = header.value("kind", "catalog")
    if (kind := choice(header, "kind", "catalog", KINDS)) == "fingerprint" and name != FINGERPRINT:
        raise header.fail(line, f"a target has one fingerprint, {FINGERPRINT}: `kind: fingerprint` is no other check's")
    line, severity = header.value("severity")
    if severity not in SEVERITIES:
        raise header.fail(line, f"`severity: {severity}` is not one of {', '.join(SEVERITIES)}")
    models = _names(header, "model")
    line, _ = header.value("model")
    for model in models:
        if model not in (*MODELS, "all"):
            raise header.fail(line, f"{model!r} is not a model: {', '.join((*MODELS, 'all'))}")
    needs = requirements(header)
    extensions_required(header, needs)
    return Check(
        name=name,
        title=header.title.rstrip("."),
        description=header.description,
        models=models,
        severity=severity,
        is_heuristic=choice(header, "heuristic", "no", ("yes", "no")) == "yes",
        kind=kind,
        interval_seconds=seconds(header, *header.value("interval", "5m")),
        timeout_seconds=seconds(header, *header.value("timeout", "5s")),
        requires=needs,
        uses=_names(header, "uses"),
        sql=header.sql,
        path=path,
    )


def load_part(path: Path) -> Part:
    """The part that a file is. Raises QueryFileError."""
    name = _name(path)
    if name in BROUGHT:
        raise QueryFileError(f"{path}:1: {name} is a part that the agent brings.", "Rename the file.")
    header = parse_header(path, PART_KEYS)
    single_statement(header)
    return Part(name, _names(header, "uses"), header.sql, path)


def _name(path: Path) -> str:
    name = path.stem
    if not PATTERN.match(name) or len(name) > MAX_LENGTH:
        raise QueryFileError(
            f"{path}:1: {name!r} is not a name: at most {MAX_LENGTH} lower-case letters, digits and '_'.",
            "Rename the file.",
        )
    return name


def _names(header: Header, key: str) -> tuple[str, ...]:
    header.value(key, "" if key == "uses" else None)
    return named(header, key)
