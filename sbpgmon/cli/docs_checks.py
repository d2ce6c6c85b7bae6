"""docs/checks.md: the checks of tenant isolation."""

from __future__ import annotations

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.checks import BUILT_IN
from sbpgmon.cli.pages import GENERATED, duration, link, table
from sbpgmon.findings import LIMIT_UNCONFIRMED


def checks_page(catalog: Catalog) -> str:
    """docs/checks.md."""
    parts = ["# Checks of tenant isolation\n", GENERATED]
    parts.append(
        "Each is a file in `queries/checks/`; `sbpgmon tenants check` runs them all, `run` and `collect` by interval. "
        "A check passes, fails or is unknown; P0 is worst, and until `[tenancy]` is `confirmed` no finding is above "
        f"{LIMIT_UNCONFIRMED}. A heuristic reads text, where only text can tell.\n"
    )
    checks = sorted(catalog.checks.values(), key=lambda check: check.name)
    rows = [
        (link(c.name), ", ".join(c.models), c.kind, c.severity, duration(c.interval_seconds), f"{c.title}.")
        for c in checks
    ]
    parts.append(table(("check", "model", "of", "severity", "interval", "what"), rows))
    for check in checks:
        heuristic = " A heuristic: it reads text." if check.is_heuristic else ""
        parts.append(f"## {check.name}\n\n{check.title}.{heuristic}\n")
        parts += [f"{check.description}\n"] if check.description else []
    parts.append("# What is no file\n\nThe statements' history, judged text by text, and the probe.\n")
    parts.append(
        table(
            ("check", "of", "severity", "what"),
            [(link(c.name), c.kind, c.severity, f"{c.title}.") for c in BUILT_IN.values()],
        )
    )
    parts += [f"## {check.name}\n\n{check.title}. {check.description}\n" for check in BUILT_IN.values()]
    return "\n".join(parts)
