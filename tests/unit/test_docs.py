"""docs/cli.md, docs/metrics.md and docs/checks.md are what the program says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.cli import docs
from sbpgmon.cli.docs_metrics import metrics_page
from sbpgmon.config import Agent, MetricSettings, Settings, Store, Target
from sbpgmon.environment import Environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["cli.md", "metrics.md", "checks.md"])
def test_the_pages_are_not_stale(name: str, tmp_path: Path) -> None:
    docs.write(tmp_path)
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == (tmp_path / name).read_text(encoding="utf-8"), "run `make docs`"


def test_the_pages_name_no_path_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    docs.write(tmp_path)
    for name in ("cli.md", "metrics.md", "checks.md"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        for path in (ROOT, Path.home(), tmp_path):
            assert str(path) not in text


def test_every_key_of_the_configuration_is_documented() -> None:
    page = docs.cli_page()
    sections = {"store", "targets", "metrics", "environment", "agent", "checks", "tenancy"}
    for model in (Settings, Store, Target, Environment, MetricSettings, Agent):
        for name, field in model.model_fields.items():
            if model is Settings and name in sections:
                continue
            assert field.description, f"{model.__name__}.{name} has no description"
            assert f"| `{name}` |" in page


def test_a_variant_is_listed_with_the_majors_that_it_serves() -> None:
    page = metrics_page(load_catalog())
    assert "| `stat_database.pg18.sql` | PostgreSQL 18 and newer | 18 |" in page
    assert "| `stat_statements.ext1.10.sql` | pg_stat_statements 1.10 and newer | 15–16 |" in page
    assert "| `stat_statements.sql` | every server | 14 |" in page
    assert "| `parallel_workers_launched` | counter | bigint | – | 18 | parallel workers launched |" in page


def test_the_tables_of_versions() -> None:
    page = metrics_page(load_catalog())
    for line in (
        "| PostgreSQL | 14 | 15 | 16 | 17 | 18 |",
        "| extension pg_stat_statements | 1.9 | 1.10 | 1.10 | 1.11 | 1.12 |",
        "| [locks](#locks) | `.sql` | `.sql` | `.sql` | `.sql` | `.sql` |",
        "| [stat_database](#stat_database) | `.sql` (2) | `.sql` (2) | `.sql` (2) | `.sql` (2) | `.pg18.sql` |",
        "| pg_stat_statements | 1.9 | 1.10 | 1.11 | 1.12 |",
        "| [stat_statements_info](#stat_statements_info) | `.sql` | `.sql` | `.sql` | `.sql` |",
        "| [stat_database](#stat_database) | 14–17 | `parallel_workers_to_launch`, `parallel_workers_launched` |",
    ):
        assert f"{line}\n" in page
