"""What README, CONTRIBUTING and docs/adr/ say is so: commands, links, examples, tables."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from sbpgmon import panels
from sbpgmon.catalog import metrics as metric_files
from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.catalog.names import COLUMNS, SUFFIXES
from sbpgmon.catalog.panels import PANEL_KEYS, VARIABLE_KEYS
from sbpgmon.catalog.retention import check_retention
from sbpgmon.cli.main import cli
from sbpgmon.config import load
from sbpgmon.durations import in_words
from sbpgmon.environment import PROFILES
from sbpgmon.model import TYPES, Kind

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ADRS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs" / "adr").glob("*.md")),
]


def _blocks(text: str, *languages: str) -> list[str]:
    """Fenced blocks of these languages."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def _command_lines() -> set[str]:
    """Every `sbpgmon …` in a block of README, up to a remark, pipe or output."""
    lines = [
        line.strip().removeprefix("$ ") for block in _blocks(README, "sh", "console") for line in block.splitlines()
    ]
    lines += re.findall(r"`(sbpgmon [^`]+)`", README)
    return {re.split(r"\s+#|\s\|", line)[0] for line in lines if line.startswith("sbpgmon ") and "NAME" not in line}


def test_the_two_commands_stand_near_the_top_and_exist() -> None:
    top = README.split("\n## On your own database")[0]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert f"\nmake {target} " in top
        assert f"\n{target}: " in makefile


@pytest.mark.parametrize("line", sorted(_command_lines()))
def test_every_command_of_the_readme_parses(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "dead_rows.sql").touch()
    words = shlex.split(line.replace("…", "x"))[1:]
    done = CliRunner().invoke(cli, words if "--help" in words else [*words, "--help"], prog_name="sbpgmon")
    assert done.exit_code == 0, done.output
    named = [word for word in words if word in cli.list_commands(None)]  # type: ignore[arg-type]
    assert done.output.startswith(f"Usage: sbpgmon {named[0] if named else '[OPTIONS]'}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if not link.startswith("http")]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_fit(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []


def test_the_configuration_of_the_readme_loads(tmp_path: Path) -> None:
    file = tmp_path / "sbpgmon.toml"
    file.write_text("\n".join(_blocks(README, "toml")), encoding="utf-8")
    settings = load(file)
    assert [target.name for target in settings.targets] == ["orders"]
    check_retention(settings, load_catalog())


def test_the_table_of_profiles_has_their_figures() -> None:
    for name, profile in PROFILES.items():
        (row,) = re.findall(rf"^\| {name} \| (.*) \|$", README, re.MULTILINE)
        kept = [in_words(age).replace("365 d", "1 y") for age in (profile.tick_seconds, *profile.retention.values())]
        assert row.split(" | ") == kept


def _examples(text: str) -> list[str]:
    return [block for block in _blocks(text, "sql") if "-- columns:" in block]


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_the_examples_are_files_that_the_catalog_takes(text: str, tmp_path: Path) -> None:
    examples = _examples(text)
    assert examples
    for number, example in enumerate(examples):
        is_panel = "-- kind: timeseries" in example
        folder = tmp_path / ("panels/overview" if is_panel else "views" if "-- needs:" in example else "metrics")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{'99_' if is_panel else ''}example_{number}.sql").write_text(example, encoding="utf-8")
    catalog = load_catalog(tmp_path)
    assert catalog.problems == ()
    shown = {panel.name for panel in catalog.dashboards["overview"].panels}
    known = catalog.metrics.keys() | catalog.views.keys() | shown
    assert {f"example_{number}" for number in range(len(examples))} <= known


def test_the_table_of_views_has_their_columns() -> None:
    views = {name: view.columns for name, view in load_catalog().views.items()}
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", README, re.MULTILINE))
    assert rows.keys() == views.keys()
    for name, text in rows.items():
        columns = [column for column, _ in views[name]]
        first, _, last = text.partition(", …, ")
        shown = first.split(", ")
        assert columns[: len(shown)] == shown
        rest = last.split(", ") if last else []
        assert columns[len(columns) - len(rest) :] == rest
        assert last or shown == columns


def test_contributing_has_the_whole_contract_of_the_header() -> None:
    section = CONTRIBUTING.split("## Add a metric: one file")[1].split("## Add a derived view")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE))
    assert rows.keys() == metric_files.KEYS | set(Kind)
    for kind, types in metric_files._TYPES_OF.items():
        assert set(rows[kind].rpartition(" | ")[2].split(", ")) == types
    for key, choices in metric_files._CHOICES.items():
        for choice in choices:
            assert f"`{choice}`" in rows[key].split(" | ")[0]
    for name in (*COLUMNS, *SUFFIXES):
        assert f"`{name}`" in CONTRIBUTING
    assert set(TYPES) == metric_files._TYPES_OF[Kind.INFO]


def test_contributing_has_every_key_of_a_panel() -> None:
    section = CONTRIBUTING.split("## Add a panel: one file")[1].split("## Layout")[0]
    rows = {name for names in re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE) for name in names.split(", ")}
    assert rows == {f"`{key}`" for key in PANEL_KEYS}
    assert all(f"`{name}`" in section for name in (*panels.KINDS, *panels.STATES, *panels.LEVELS, *VARIABLE_KEYS))


def test_contributing_names_the_targets_of_make() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^\| `make ([a-z-]+)` ", CONTRIBUTING, re.MULTILINE):
        assert f"\n{target}: " in makefile


@pytest.mark.parametrize("page", ADRS, ids=lambda page: page.stem)
def test_each_decision_has_the_form(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.name[:4]}: ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_decisions_are_numbered_and_listed() -> None:
    assert [page.name[:4] for page in ADRS] == [f"{number:04}" for number in range(1, len(ADRS) + 1)]
    index = (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    titles = [page.read_text(encoding="utf-8").splitlines()[0].partition(": ")[2] for page in ADRS]
    expected = [f"| [{page.name[:4]}]({page.name}) | {title} |" for page, title in zip(ADRS, titles, strict=True)]
    assert [line for line in index.splitlines() if line.startswith("| [")] == expected
