"""Every error ends with an exit code that is documented, and means one thing."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import sbpgmon
from sbpgmon.errors import ConfigError, SbpgmonError, exit_codes

# On purpose: a broken SQL file is bad input; what is caught before it reaches the user has no code of its own.
SHARED = {
    "PanelError": "ConfigError",
    "QueryFileError": "ConfigError",
    "RejectedError": "SbpgmonError",
    "RollUpError": "StoreError",
    "StoreReadOnlyError": "StoreRefusedError",
}


def tree(kind: type[SbpgmonError]) -> list[type[SbpgmonError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in tree(child))]


@pytest.fixture(scope="module")
def kinds() -> list[type[SbpgmonError]]:
    for module in pkgutil.walk_packages(sbpgmon.__path__, "sbpgmon."):
        if not module.name.endswith("__main__") and not module.name.startswith("sbpgmon.demo"):
            importlib.import_module(module.name)
    return [kind for kind in tree(SbpgmonError) if not kind.__module__.startswith("sbpgmon.demo")]


def test_codes_are_distinct_or_shared_on_purpose(kinds: list[type[SbpgmonError]]) -> None:
    codes: dict[int, str] = {}
    for kind in kinds:
        if kind.__name__ in SHARED:
            parent = next(k for k in kinds if k.__name__ == SHARED[kind.__name__])
            assert (kind.exit_code, kind.meaning) == (parent.exit_code, parent.meaning)
        else:
            assert kind.exit_code not in codes, f"{kind.__name__} and {codes[kind.exit_code]}"
            codes[kind.exit_code] = kind.__name__
    assert codes.keys() | {0, 130} == exit_codes().keys()


def test_every_meaning_is_documented_and_distinct(kinds: list[type[SbpgmonError]]) -> None:
    table = exit_codes()
    assert list(table) == sorted(table)
    assert len(set(table.values())) == len(table)
    for kind in kinds:
        assert table[kind.exit_code] == kind.meaning
        assert kind.__doc__


def test_codes_are_those_of_a_shell(kinds: list[type[SbpgmonError]]) -> None:
    # 126 and more are the shell's and the signals'.
    assert all(0 < kind.exit_code < 64 for kind in kinds)


def test_the_unit_is_not_restarted_when_the_schema_is_gone() -> None:
    unit = (Path(__file__).resolve().parents[2] / "deploy" / "sbpgmon.service").read_text(encoding="utf-8")
    [line] = [line for line in unit.splitlines() if line.startswith("RestartPreventExitStatus=")]
    prevented = {int(code) for code in line.partition("=")[2].split()}
    wanted = {code for code, meaning in exit_codes().items() if "do not restart" in meaning}
    assert wanted <= prevented
    assert prevented <= exit_codes().keys()


def test_an_error_says_what_and_what_next() -> None:
    error = ConfigError("It is broken.", "Mend it.")
    assert (error.what, error.way_out, str(error)) == ("It is broken.", "Mend it.", "It is broken. Mend it.")
    assert str(ConfigError("It is broken.")) == "It is broken."


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SBPGMON_", "PG"))}
    return subprocess.run(
        [sys.executable, "-m", "sbpgmon", *arguments],
        capture_output=True,
        text=True,
        env=clean | environment,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (["--nonsense"], 2, "No such option"),
        (["frobnicate"], 2, "No such command 'frobnicate'"),
        (["top", "--limit", "0"], 2, "0 is not in the range"),
        (["top", "--since", "soon"], 2, "neither a duration"),
        (["--config", "nowhere.toml", "status"], 2, "nowhere.toml: no such file"),
        (["collect"], 2, "No target is configured"),
        (["status"], 2, "no store is configured"),
        (["--dsn", "host=x password=s3cr3t nonsense", "status"], 2, "does not parse"),
        (["--dsn", "postgresql://u:s3cr3t@[h/x", "collect"], 2, "does not parse"),
        (["metrics", "show", "nothing"], 2, "There is no metric 'nothing'"),
        (["--dsn", "host=127.0.0.1 port=1 dbname=x password=s3cr3t", "status"], 20, "The store"),
        (["--dsn", "host=127.0.0.1 port=1 dbname=x", "top", "--since", "1h", "--until", "2h"], 2, "not before --until"),
    ],
)
def test_bad_input_gives_one_clear_message(arguments: list[str], code: int, what: str, tmp_path: Path) -> None:
    done = run(*arguments, SBPGMON_STATE_DIR=str(tmp_path), COLUMNS="200")
    assert done.returncode == code, done.stderr
    assert what in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3cr3t" not in done.stderr + done.stdout
    assert done.stdout == ""
