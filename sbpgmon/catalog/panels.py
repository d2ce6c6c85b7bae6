"""Dashboards out of SQL files: queries/panels/DASHBOARD/NN_PANEL.sql, its dashboard.toml, variables/NAME.sql."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sbpgmon.catalog.header import Header, choice, named, parse_header, single_statement
from sbpgmon.catalog.names import MAX_LENGTH, PATTERN
from sbpgmon.catalog.panel_columns import decimals_of, numbers, parse_column, states_of, thresholds_of
from sbpgmon.errors import QueryFileError
from sbpgmon.panels import HEIGHTS, KINDS, LEVELS, UNITS, WIDTH, Dashboard, Panel, Variable

PANEL_KEYS = frozenset(
    ["kind", "unit", "needs", "size", "thresholds", "states", "min", "max", "decimals", "stack", "instant", "links",
     "columns"]
)  # fmt: skip
VARIABLE_KEYS = frozenset(["needs", "multi", "of_range"])
VARIABLES = "variables"
ABOUT = "dashboard.toml"
ALL = "all"  # what a command calls every dashboard
# What is no variable of ours: `$__interval`, `$__timeFrom()`, `$1`.
_USED = re.compile(r"\$(?:([a-z][a-z0-9_]*)|\{([a-z][a-z0-9_]*)(?::([a-z]+))?\})")
_FILE = re.compile(r"(\d\d)_([a-z][a-z0-9_]*)\Z")
_SELECT = re.compile(r"\s*(?:\(|(?:select|with|values|table)\b)", re.IGNORECASE)
_COMMENT = re.compile(r"--|/\*")
_SIZE = re.compile(r"(\d+)x(\d+)\Z")
_WAY_OUT = "See CONTRIBUTING.md, «Add a panel»."
_T = TypeVar("_T")


class _About(BaseModel):
    """A dashboard.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1)
    description: str = Field(min_length=1)
    level: str = Field(pattern=f"^({'|'.join(LEVELS)})$")
    order: int = Field(ge=0)
    since: str = Field(default="24h", pattern=r"^\d+[smhdwMy]$")
    refresh: str = Field(default="1m", pattern=r"^(\d+[smhd])?$")
    single: frozenset[str] = frozenset()


def load_dashboards(
    roots: Iterable[Path], served: Collection[str], problems: list[QueryFileError]
) -> dict[str, Dashboard]:
    """Dashboards by name, in their order: the folders `panels` of all roots together.

    `served`: metrics and views of the catalog; a panel or variable that needs another one is left out, and so is a
    dashboard without panels. What is wrong with a file is added to `problems`, and that file left out.
    """
    variables: dict[str, Variable] = {}
    about: dict[str, tuple[Path, _About]] = {}
    panels: dict[str, dict[str, Panel]] = {}
    for root in roots:
        for variable in _load(root / VARIABLES, _parse_variable, problems):
            if variable.name in variables:
                _twice(variable.path, f"variable named {variable.name}", problems)
            elif not set(variable.needs) - set(served):
                variables[variable.name] = variable
        problems.extend(
            QueryFileError(f"{path}:1: the file lies in no dashboard's folder.", "Put it into panels/DASHBOARD.")
            for path in sorted(root.glob("*.sql"))
        )
        for folder in sorted(path for path in root.glob("*/") if path.name != VARIABLES):
            if (path := folder / ABOUT).exists():
                if folder.name in about:
                    _twice(path, f"dashboard named {folder.name}", problems)
                else:
                    _take(path, lambda path: about.update({path.parent.name: (path, _parse_about(path))}), problems)
            mine = panels.setdefault(folder.name, {})
            for panel in _load(folder, _parse_panel, problems):
                if panel.name in mine:
                    _twice(panel.path, f"panel named {panel.name} in {folder.name}", problems)
                elif not set(panel.needs) - set(served):
                    mine[panel.name] = panel
    for name in sorted(panels.keys() - about.keys()):
        missing = next((panel.path.parent / ABOUT for panel in panels[name].values()), None)
        if missing is not None and not missing.exists():
            problems.append(QueryFileError(f"{missing}: the dashboard's own file is not there.", _WAY_OUT))
    made = {
        name: _dashboard(path, of, panels.get(name, {}).values(), variables, problems)
        for name, (path, of) in sorted(about.items(), key=lambda item: (item[1][1].order, item[0]))
    }
    return _without_dead_links({name: d for name, d in made.items() if d.panels}, problems)


def uses_of(sql: str) -> list[tuple[str, str]]:
    """The variables that SQL names, in order, with the format that each asks for ("" for none)."""
    return [(m[1] or m[2], m[3] or "") for m in _USED.finditer(sql)]


def _dashboard(
    path: Path,
    about: _About,
    panels: Iterable[Panel],
    variables: Mapping[str, Variable],
    problems: list[QueryFileError],
) -> Dashboard:
    chosen = {
        name: replace(variable, is_multi=False) if name in about.single else variable
        for name, variable in variables.items()
    }
    order: dict[str, Variable] = {}

    def add(path: Path, sql: str, above: tuple[str, ...]) -> None:
        for name, form in uses_of(sql):
            if name not in chosen:
                raise QueryFileError(f"{path}: ${name} is no variable of {VARIABLES}/.", "Add it, or mend the SQL.")
            _well_used(path, sql, chosen[name], form)
            if name in above:
                raise QueryFileError(f"{path}: {' uses '.join((*above, name))}.", "Variables cannot use each other.")
            if name not in order:
                add(chosen[name].path, chosen[name].sql, (*above, name))
                order[name] = chosen[name]

    kept = []
    for panel in sorted(panels, key=lambda panel: (panel.number, panel.name)):
        try:
            add(panel.path, panel.sql, ())
        except QueryFileError as error:
            problems.append(error)
        else:
            kept.append(panel)
    return Dashboard(
        name=path.parent.name,
        title=about.title,
        description=about.description,
        level=about.level,
        order=about.order,
        since=about.since,
        refresh=about.refresh,
        panels=tuple(kept),
        variables=tuple(order.values()),
        path=path,
    )


def _well_used(path: Path, sql: str, variable: Variable, form: str) -> None:
    """Raises QueryFileError where Grafana would not quote the value as the place needs it."""
    name = variable.name
    if variable.is_multi:
        plain = len(re.findall(rf"\$(?:{name}\b|\{{{name}[:}}])", sql))
        if form or plain != len(re.findall(rf"\bin \(\${name}\)", sql, re.IGNORECASE)):
            raise QueryFileError(f"{path}: ${name} takes several values here.", f"Write IN (${name}).")
    elif form != "sqlstring":
        raise QueryFileError(f"{path}: ${name} takes one value here.", f"Write ${{{name}:sqlstring}}.")


def _without_dead_links(found: dict[str, Dashboard], problems: list[QueryFileError]) -> dict[str, Dashboard]:
    """A link to a dashboard that nobody has written is a mistake; to one whose metrics are not there it is left out."""
    folders = {path.name for d in found.values() for path in d.path.parent.parent.iterdir()}
    problems.extend(
        QueryFileError(f"{panel.path}: there is no dashboard {to}.", "Mend the link.")
        for dashboard in found.values()
        for panel in dashboard.panels
        for to in sorted({*panel.links, *(column.link for column in panel.columns if column.link)} - folders)
    )

    def living(panel: Panel) -> Panel:
        columns = tuple(c if c.link in found else replace(c, link="") for c in panel.columns)
        return replace(panel, columns=columns, links=tuple(to for to in panel.links if to in found))

    return {name: replace(d, panels=tuple(map(living, d.panels))) for name, d in found.items()}


def _load(folder: Path, parse: Callable[[Path], _T], problems: list[QueryFileError]) -> list[_T]:
    found: list[_T] = []
    for path in sorted(folder.glob("*.sql")):
        _take(path, lambda path: found.append(parse(path)), problems)
    return found


def _take(path: Path, take: Callable[[Path], object], problems: list[QueryFileError]) -> None:
    try:
        take(path)
    except QueryFileError as error:
        problems.append(error)


def _twice(path: Path, what: str, problems: list[QueryFileError]) -> None:
    problems.append(QueryFileError(f"{path}:1: there is already a {what}.", "Rename it."))


def _parse_about(path: Path) -> _About:
    _is_name(path, path.parent.name)
    if path.parent.name == ALL:
        raise QueryFileError(f"{path}:1: a dashboard cannot be named {ALL}, which means every one.", "Rename it.")
    try:
        return _About.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise QueryFileError(f"{path}: cannot be read: {error}.", _WAY_OUT) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise QueryFileError(f"{path}: {where}: {first['msg']}.", _WAY_OUT) from None


def _is_name(path: Path, name: str) -> None:
    if not PATTERN.match(name) or len(name) > MAX_LENGTH:
        raise QueryFileError(
            f"{path}:1: {name!r} is not a name: at most {MAX_LENGTH} lower-case letters, digits and '_'.", _WAY_OUT
        )


def _query(path: Path, keys: frozenset[str]) -> Header:
    """A header whose prose and query are as every panel's and variable's."""
    header = parse_header(path, keys)
    if not header.title:
        raise header.fail(1, "the header does not begin with a title", _WAY_OUT)
    if not header.description:
        raise header.fail(1, "there is no description below the title", _WAY_OUT)
    if not _SELECT.match(single_statement(header)):
        raise header.fail(header.sql_line, "the query is no SELECT", _WAY_OUT)
    if comment := _COMMENT.search(header.sql):
        line = header.sql_line + header.sql[: comment.start()].count("\n")
        raise header.fail(line, "the query has a comment, which Grafana's editor does not survive", _WAY_OUT)
    return header


def _parse_variable(path: Path) -> Variable:
    _is_name(path, path.stem)
    header = _query(path, VARIABLE_KEYS)
    return Variable(
        name=path.stem,
        title=header.title.rstrip("."),
        description=header.description,
        sql=header.sql,
        path=path,
        needs=named(header, "needs"),
        is_multi=_is(header, "multi"),
        is_of_range=_is(header, "of_range"),
    )


def _parse_panel(path: Path) -> Panel:
    match = _FILE.match(path.stem)
    if not match:
        raise QueryFileError(f"{path}:1: the file is not named NN_NAME.sql.", "Two digits say its place.")
    _is_name(path, match[2])
    header = _query(path, PANEL_KEYS)
    line, text = header.value("size", "12x8")
    size = _SIZE.match(text)
    if not size or not 1 <= int(size[1]) <= WIDTH or int(size[2]) not in HEIGHTS:
        heights = ", ".join(map(str, HEIGHTS))
        raise header.fail(line, f"`size: {text}` is not WIDTHxHEIGHT: 1 to {WIDTH} by {heights}", _WAY_OUT)
    header.value("columns")
    line, _ = header.value("unit", "short")
    panel = Panel(
        name=match[2],
        number=int(match[1]),
        dashboard=path.parent.name,
        title=header.title.rstrip("."),
        description=" ".join(header.description.split()),
        kind=choice(header, "kind", "", KINDS),
        columns=tuple(parse_column(header, line, text) for line, text in header.columns),
        sql=header.sql,
        path=path,
        needs=named(header, "needs"),
        unit=choice(header, "unit", "short", UNITS),
        thresholds=thresholds_of(header, *header.value("thresholds", "")),
        states=states_of(header, *header.value("states", "")),
        width=int(size[1]),
        height=int(size[2]),
        minimum=numbers(header, "min"),
        maximum=numbers(header, "max"),
        decimals=decimals_of(header),
        is_stacked=_is(header, "stack"),
        is_instant=_is(header, "instant"),
        links=named(header, "links"),
    )
    if problem := _problem_of(panel):
        raise header.fail(header.values["columns"][0], problem, _WAY_OUT)
    return panel


def _is(header: Header, key: str) -> bool:
    return choice(header, key, "no", ("yes", "no")) == "yes"


def _problem_of(panel: Panel) -> str:
    """What is wrong with the columns of such a panel; empty for nothing."""
    names = [column.name for column in panel.columns]
    if len(set(names)) < len(names):
        return "a column stands twice"
    kinds = [column.kind for column in panel.columns]
    if panel.kind != "table":
        if kinds != sorted(kinds, key=("time", "label", "value").index):
            return "the columns stand in another order than time, labels, values"
        if "value" not in kinds:
            return "there is no value"
    is_series = panel.kind in ("timeseries", "heatmap", "state-timeline")
    if is_series and names[0] != "time":
        return f"the first column of a {panel.kind} is not `time`"
    if kinds.count("time") > (panel.kind not in ("bar", "gauge")) and panel.kind != "table":
        return f"a {panel.kind} has not as many times"
    if panel.kind in ("heatmap", "state-timeline") and kinds.count("value") != 1:
        return f"a {panel.kind} has one value"
    if panel.kind in ("heatmap", "bar") and kinds.count("label") != 1:
        return f"a {panel.kind} has one label"
    if panel.kind == "state-timeline" and not panel.states:
        return "a state-timeline needs `states:`"
    return ""
