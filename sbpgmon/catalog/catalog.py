"""The catalog: what queries/ and the user's own folder hold, and which variant serves a server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sbpgmon.catalog.metrics import load_metrics
from sbpgmon.catalog.views import load_views
from sbpgmon.errors import QueryFileError
from sbpgmon.model import Metric, Server, Variant, View
from sbpgmon.resources import resource_dir

T = TypeVar("T", Metric, View)
_EXTSCHEMA = re.compile(r"@extschema:(\w+)@")


@dataclass(frozen=True, slots=True)
class Catalog:
    """Metrics and derived views by name."""

    metrics: dict[str, Metric]
    views: dict[str, View]


def load_catalog(queries_dir: Path | None = None) -> Catalog:
    """The shipped catalog together with the user's; raises QueryFileError, also when two files share a name."""
    metrics: dict[str, Metric] = {}
    views: dict[str, View] = {}
    for root in filter(None, (resource_dir("queries"), queries_dir)):
        for metric in load_metrics(root / "metrics").values():
            _add(metrics, metric, metric.variants[0].path, {**metrics, **views})
        for view in load_views(root / "views").values():
            _add(views, view, view.path, {**metrics, **views})
    return Catalog(metrics, views)


def _add(into: dict[str, T], item: T, path: Path, taken: dict[str, Metric | View]) -> None:
    if item.name in taken:
        raise QueryFileError(f"{path}:1: there is already a metric or view named {item.name}.", "Rename the file.")
    into[item.name] = item


def pick_variant(metric: Metric, server: Server) -> tuple[Variant | None, str]:
    """The variant that serves this server, or None and why the server cannot serve the metric."""
    if metric.role != "any" and (metric.role == "standby") != server.is_standby:
        return None, f"only on a {metric.role}"
    versions: tuple[int, ...] = ()
    for need in metric.requires:
        if need.role == "pg_monitor" and not (server.has_pg_monitor or server.is_superuser):
            return None, f"{server.role} is not a member of pg_monitor: GRANT pg_monitor TO {server.role}"
        if need.extension:
            if need.extension not in server.extensions:
                return None, (
                    f"the extension {need.extension} is not in database {server.database}: "
                    f"CREATE EXTENSION {need.extension}"
                )
            _, versions = server.extensions[need.extension]
            if versions < need.version:
                return None, (
                    f"{need} is needed, {'.'.join(map(str, versions))} is there: "
                    f"ALTER EXTENSION {need.extension} UPDATE"
                )
    fitting = [v for v in metric.variants if v.major <= server.major and v.extension_version <= versions]
    if not fitting:
        lowest = metric.variants[0]
        return None, f"the lowest variant is {lowest.path.name}; the server is {server.version}"
    return fitting[-1], ""


def render_sql(variant: Variant, server: Server) -> str:
    """The variant's SQL with `@extschema:NAME@` replaced by the extension's quoted schema."""

    def schema(match: re.Match[str]) -> str:
        name, _ = server.extensions[match[1]]
        return '"' + name.replace('"', '""') + '"'

    return _EXTSCHEMA.sub(schema, variant.sql)
