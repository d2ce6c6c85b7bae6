"""`--help` of every command, as it was last looked at: tests/unit/help/.

SBPGMON_UPDATE_HELP=1 writes the files anew; look at the difference before it is committed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sbpgmon.cli.docs import help_texts
from sbpgmon.cli.main import cli

FOLDER = Path(__file__).parent / "help"
TEXTS = help_texts()


def _file(command: str) -> Path:
    return FOLDER / f"{command.replace(' ', '_')}.txt"


@pytest.mark.parametrize("command", TEXTS)
def test_help_is_as_it_was_looked_at(command: str) -> None:
    if os.environ.get("SBPGMON_UPDATE_HELP"):
        _file(command).write_text(TEXTS[command], encoding="utf-8")
    assert TEXTS[command] == _file(command).read_text(encoding="utf-8")


def test_every_command_has_a_file_and_every_file_a_command() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {_file(command).name for command in TEXTS}


def test_help_fits_80_columns() -> None:
    for command, text in TEXTS.items():
        for line in text.splitlines():
            assert len(line) <= 80, f"{command}: {line}"


def test_every_option_of_every_command_is_explained_by_its_name_or_its_help() -> None:
    obvious = {"form", "log_format", "limit"}  # the choices say it
    for name in cli.list_commands(cli.make_context("sbpgmon", ["--help"], resilient_parsing=True)):
        command = cli.get_command(cli.make_context("sbpgmon", [name], resilient_parsing=True), name)
        assert command is not None
        assert command.help
        for option in command.params:
            record = option.to_info_dict()
            assert record.get("help") or record["param_type_name"] == "argument" or option.name in obvious, option.name


@pytest.mark.parametrize("command", ["sbpgmon", "sbpgmon top", "sbpgmon metrics list"])
def test_the_program_prints_that_very_text_on_80_columns(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), "--help"],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "80", "PYTHONIOENCODING": "utf-8"},
        check=True,
    )
    assert done.stdout == TEXTS[command]
