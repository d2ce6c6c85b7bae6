"""deploy/: the systemd unit, the crontab and the example of the configuration agree with the program."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from sbpgmon import config
from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.cli.main import cli
from sbpgmon.environment import Environment
from sbpgmon.errors import ConfigError, SbpgmonError
from sbpgmon.sources.session import parse_dsn
from sbpgmon.store.apply import GAP_INTERVALS
from sbpgmon.store.connection import DEADLINE_SECONDS
from sbpgmon.store.gate import FATAL

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def _unit() -> dict[str, list[str]]:
    """Settings of the unit, sections aside: each name with its values in order."""
    settings: dict[str, list[str]] = {}
    for line in (DEPLOY / "sbpgmon.service").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", ";", "[")):
            name, _, value = line.partition("=")
            settings.setdefault(name, []).append(value)
    return settings


def _cron_lines() -> list[str]:
    lines = (DEPLOY / "sbpgmon.cron").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _errors(kind: type[SbpgmonError] = SbpgmonError) -> Iterator[type[SbpgmonError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _errors(child)


def _usage(words: list[str]) -> str:
    """The first line of the help that these words would give: they parse, and this is the command they name."""
    done = CliRunner().invoke(cli, [*words, "--help"], prog_name="sbpgmon")
    assert done.exit_code == 0, done.output
    return done.output.splitlines()[0]


def test_the_unit_is_not_restarted_when_only_a_person_can_help() -> None:
    codes = {int(code) for code in " ".join(_unit()["RestartPreventExitStatus"]).split()}
    assert codes == {ConfigError.exit_code} | {kind.exit_code for kind in FATAL}


def test_every_error_that_says_so_is_not_restarted() -> None:
    codes = {int(code) for code in " ".join(_unit()["RestartPreventExitStatus"]).split()}
    assert {kind.exit_code for kind in _errors() if "do not restart" in kind.meaning} <= codes


def test_the_unit_starts_a_command_that_exists() -> None:
    (start,) = _unit()["ExecStart"]
    program, *words = shlex.split(start)
    assert Path(program).is_absolute()
    assert _usage(words) == "Usage: sbpgmon run [OPTIONS]"


def test_the_unit_speaks_the_protocol_that_the_agent_speaks() -> None:
    unit = _unit()
    assert (unit["Type"], unit["NotifyAccess"]) == (["notify"], ["main"])
    assert "KillSignal" not in unit, "SIGTERM is what ends it well"
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert config.parse_seconds(unit["WatchdogSec"][0]) > 2 * DEADLINE_SECONDS, "it is fed between two writes"
    assert config.parse_seconds(unit["TimeoutStopSec"][0]) > config.Agent().deadline + DEADLINE_SECONDS


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("User", "sbpgmon"),
        ("StateDirectory", "sbpgmon"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateDevices", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
    ],
)
def test_the_unit_is_hardened(setting: str, value: str) -> None:
    assert _unit()[setting] == [value]


def test_the_unit_gives_passwords_as_a_credential() -> None:
    unit = _unit()
    (credential,) = unit["LoadCredential"]
    name, _, source = credential.partition(":")
    assert Path(source).is_absolute()
    assert f"PGSERVICEFILE=%d/{name}" in unit["Environment"]


def test_the_unit_holds_one_reading_and_more() -> None:
    (limit,) = _unit()["MemoryMax"]
    assert int(limit.removesuffix("M")) * 1024**2 >= 4 * config.Agent().max_snapshot_bytes


def test_cron_collects_every_minute_and_is_silent_when_all_is_well() -> None:
    *settings, job = _cron_lines()
    assert {line.partition("=")[0] for line in settings} == {"SHELL", "MAILTO", "PGSERVICEFILE"}
    minute, hour, day, month, weekday, user, *words = job.split()
    assert (minute, hour, day, month, weekday, user) == ("*", "*", "*", "*", "*", "sbpgmon")
    assert _usage(words[1:]) == "Usage: sbpgmon collect [OPTIONS]"
    assert words[-1] == "--quiet"


def test_cron_and_the_unit_use_the_same_program_and_files() -> None:
    (start,) = _unit()["ExecStart"]
    words = _cron_lines()[-1].split()[6:]
    assert words[:3] == shlex.split(start)[:3]
    assert f"PGSERVICEFILE={_unit()['LoadCredential'][0].partition(':')[2]}" in _cron_lines()


def test_the_example_of_the_configuration_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    settings = config.load(DEPLOY / "sbpgmon.toml.example")
    assert [target.name for target in settings.targets] == ["orders", "ledger"]
    assert settings.store_dsn == "service=sbpgmon_store"
    assert settings.agent == config.Agent(), "the comment says that these are the defaults"
    assert settings.environment == Environment()
    assert settings.metrics.keys() <= load_catalog().metrics.keys()


def test_the_example_shows_every_section_and_every_setting() -> None:
    text = (DEPLOY / "sbpgmon.toml.example").read_text(encoding="utf-8")
    models = (config.Settings, config.Store, config.Target, config.Agent, config.MetricSettings, Environment)
    missing = [name for model in models for name in model.model_fields if name not in text]
    assert missing == []
    assert "password" not in " ".join(line for line in text.splitlines() if not line.startswith("#"))


def test_the_example_slows_down_what_cron_cannot_keep_up_with(tmp_path: Path) -> None:
    text = (DEPLOY / "sbpgmon.toml.example").read_text(encoding="utf-8")
    head, _, tail = text.partition("# Under cron")
    file = tmp_path / "sbpgmon.toml"
    file.write_text(head + re.sub("^#(?! )", "", tail.partition("gap.\n")[2], flags=re.MULTILINE), encoding="utf-8")
    slowed = {name for name, chosen in config.load(file).metrics.items() if chosen.interval == 60}
    quick = {name for name, metric in load_catalog().metrics.items() if metric.interval_seconds * GAP_INTERVALS < 60}
    assert slowed - {"stat_statements"} == quick


def test_the_services_that_the_example_names_are_in_the_service_file() -> None:
    text = (DEPLOY / "pg_service.conf.example").read_text(encoding="utf-8")
    settings = config.load(DEPLOY / "sbpgmon.toml.example")
    dsns = [settings.store_dsn, *(target.dsn for target in settings.targets)]
    services = {parts["service"] for dsn in dsns if "service" in (parts := parse_dsn(dsn, "the example"))}
    assert services
    for service in services:
        assert f"[{service}]" in text


@pytest.mark.parametrize("mode", [0o400, 0o440], ids=["owner alone", "as an ACL shows it"])
def test_libpq_takes_a_service_file_whatever_its_mode(
    mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # systemd 254 and newer give a credential an ACL: its mode is then 0440.
    file = tmp_path / "pg_service.conf"
    file.write_text("[sbpgmon_store]\nhost=/nowhere\npassword=secret\n", encoding="utf-8")
    file.chmod(mode)
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    with pytest.raises(psycopg.OperationalError, match="/nowhere"):
        psycopg.connect("service=sbpgmon_store")
