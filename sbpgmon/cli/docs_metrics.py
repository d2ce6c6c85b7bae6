"""docs/metrics.md: metrics and derived views, with what serves which version of the server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sbpgmon.catalog.catalog import Catalog, pick_variant
from sbpgmon.cli.pages import GENERATED, duration, link, table
from sbpgmon.model import Column, Metric, Server, Variant, View

MAJORS = (14, 15, 16, 17, 18)
# The versions of extensions that come with each major.
SHIPPED = {"pg_stat_statements": {14: (1, 9), 15: (1, 10), 16: (1, 10), 17: (1, 11), 18: (1, 12)}}


def metrics_page(catalog: Catalog) -> str:
    """docs/metrics.md."""
    parts = ["# Metrics\n", GENERATED]
    parts.append(
        "Each metric is a file in `queries/metrics/` and a view of its own name in the schema `monitoring`. Every view "
        "begins with `time`, `tier` and `target`. A key names the series; a counter is shown as what was added in the "
        "interval that ends at `time`; a gauge is shown as read, and as `…_min` and `…_max`; an info column is stored "
        "when it changes; a reset column is not stored: it says when the counters began anew. In the tiers behind the "
        "first a row is a bucket that begins at `time`: the sum of a counter, the mean of a gauge.\n"
    )
    metrics = sorted(catalog.metrics.values(), key=lambda metric: metric.name)
    views = sorted(catalog.views.values(), key=lambda view: view.name)
    overview = [(link(m.name), duration(m.interval_seconds), _tiers(m), f"{m.title}.") for m in metrics]
    parts.append(table(("metric", "interval", "tiers", "what"), overview))
    parts.append(_versions(metrics))
    parts += [_metric(metric) for metric in metrics]
    parts.append("# Derived views\n\nOver the metrics, from `queries/views/`.\n")
    parts.append(table(("view", "what"), [(link(view.name), f"{view.title}.") for view in views]))
    parts += [_view(view) for view in views]
    return "\n".join(parts)


def served(metric: Metric) -> dict[int, Variant | None]:
    """The variant for each major as it comes, with every extension in the version of that major."""
    return {major: pick_variant(metric, _server(metric, major))[0] for major in MAJORS}


def served_by_extension(metric: Metric) -> dict[tuple[int, ...], Variant | None]:
    """The variant for each version of the extension that the metric needs; empty when it needs none."""
    name = next((need.extension for need in metric.requires if need.extension), "")
    versions = sorted(set(SHIPPED[name].values())) if name else []
    newest = _server(metric, MAJORS[-1])
    return {v: pick_variant(metric, replace(newest, extensions={name: ("public", v)}))[0] for v in versions}


def _versions(metrics: Sequence[Metric]) -> str:
    """Which file serves which version, and what lacks there."""
    parts = [
        "## Versions\n",
        "Which file serves which major of PostgreSQL, on primary and standby alike unless its `role` says otherwise: "
        "`.sql` stands for `NAME.sql`, `.pg18.sql` for `NAME.pg18.sql`. In parentheses: how many of its columns that "
        "version lacks. They are named below, and NULL in the view.\n",
    ]
    rows = [(f"extension {name}", *(_version(shipped[major]) for major in MAJORS)) for name, shipped in SHIPPED.items()]
    rows += [(link(m.name), *(_cell(m, variant) for variant in served(m).values())) for m in metrics]
    parts.append(table(("PostgreSQL", *map(str, MAJORS)), rows))
    for name, shipped in SHIPPED.items():
        parts.append(
            f"{name} may be older than its server, which `pg_upgrade` leaves to you: "
            f"`ALTER EXTENSION {name} UPDATE`. Its version alone decides then:\n"
        )
        found = [(m, served_by_extension(m)) for m in metrics if name in {need.extension for need in m.requires}]
        rows = [(link(m.name), *(_cell(m, variant) for variant in variants.values())) for m, variants in found]
        parts.append(table((name, *map(_version, sorted(set(shipped.values())))), rows))
    parts.append("What lacks where:\n")
    rows = []
    for metric in metrics:
        lacking: dict[str, list[str]] = {}
        for column in metric.columns:
            where = [m for m, variant in served(metric).items() if variant and column.name in variant.lacks]
            if where:
                lacking.setdefault(_majors(where), []).append(f"`{column.name}`")
        rows += [(link(metric.name), majors, ", ".join(columns)) for majors, columns in sorted(lacking.items())]
    parts.append(table(("metric", "PostgreSQL", "columns"), rows))
    return "\n".join(parts)


def _cell(metric: Metric, variant: Variant | None) -> str:
    if variant is None:
        return "–"
    tag = f"`{variant.path.name.removeprefix(metric.name)}`"
    return f"{tag} ({len(variant.lacks)})" if variant.lacks else tag


def _version(parts: Iterable[int]) -> str:
    return ".".join(map(str, parts))


def _tiers(metric: Metric) -> str:
    """Where its history is kept; the info columns of a metric without facts have no tiers."""
    return ", ".join(f"`{tier}`" for tier in metric.tiers) if metric.facts else "on change"


def _metric(metric: Metric) -> str:
    by_major = served(metric)
    facts = [
        ("interval", duration(metric.interval_seconds)),
        ("tiers", _tiers(metric)),
        ("scope", metric.scope),
        ("role", metric.role),
        ("requires", ", ".join(map(str, metric.requires)) or "nothing"),
        ("an absent row means", metric.missing),
        ("timeout", duration(metric.timeout_seconds)),
    ]
    files = [
        (f"`{v.path.name}`", _needs(metric, v), _majors(major for major, taken in by_major.items() if taken is v))
        for v in metric.variants
    ]
    columns = [
        (f"`{c.name}`", c.kind.value, c.type.name, c.unit or "–", _served(c, by_major), c.description)
        for c in metric.columns
    ]
    parts = [f"## {metric.name}\n", f"{metric.title}.\n"]
    parts += [f"{metric.description}\n"] if metric.description else []
    parts += [
        table(("", ""), facts),
        table(("file", "for", "PostgreSQL"), files),
        table(("column", "kind", "type", "unit", "PostgreSQL", "description"), columns),
    ]
    return "\n".join(parts)


def _view(view: View) -> str:
    parts = [f"## {view.name}\n", f"{view.title}.\n"]
    parts += [f"{view.description}\n"] if view.description else []
    parts.append(f"Reads: {', '.join(map(link, view.needs)) or 'the log of the snapshots'}.\n")
    parts.append(table(("column", "description"), [(f"`{name}`", text) for name, text in view.columns]))
    return "\n".join(parts)


def _server(metric: Metric, major: int) -> Server:
    """A server as it comes: every extension that the metric needs, in the version of that major."""
    started = datetime(2000, 1, 1, tzinfo=UTC)
    names = [need.extension for need in metric.requires if need.extension]
    return Server(
        version_num=major * 10000, version=str(major), database="app", role="sbpgmon_reader", is_superuser=False,
        is_standby=metric.role == "standby", roles=frozenset({"pg_monitor"}), encoding="UTF8",
        system_identifier=1, timeline=1,
        postmaster_start_time=started, checkpointer_start_time=started, writable=(), pooled=False,
        is_statements_loaded=True,
        extensions={name: ("public", SHIPPED[name][major]) for name in names},
    )  # fmt: skip


def _needs(metric: Metric, variant: Variant) -> str:
    if variant.extension_version:
        extension = next(need.extension for need in metric.requires if need.extension)
        return f"{extension} {_version(variant.extension_version)} and newer"
    return f"PostgreSQL {variant.major} and newer" if variant.major else "every server"


def _served(column: Column, by_major: dict[int, Variant | None]) -> str:
    return _majors(m for m, variant in by_major.items() if variant is not None and column.name not in variant.lacks)


def _majors(majors: Iterable[int]) -> str:
    found = sorted(majors)
    if not found:
        return "none as it comes"
    if len(found) > 1 and found == list(range(found[0], found[-1] + 1)):
        return f"{found[0]}–{found[-1]}"
    return ", ".join(map(str, found))
