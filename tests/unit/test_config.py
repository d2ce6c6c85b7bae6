"""Settings: the file, the environment, the command line; what is wrong is said without any secret."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbpgmon.config import load, parse_seconds, require_targets
from sbpgmon.errors import ConfigError

SECRET = "s3cr3t-pa55"
FULL = f"""
queries_dir = "sql"
state_dir = "state"
texts = "off"

[store]
dsn = "host=store dbname=history password={SECRET}"
readers = ["grafana", "boss"]

[[targets]]
name = "app-1"
dsn = "postgresql://reader:{SECRET}@db1/app"

[[targets]]
name = "app.2"
dsn = "service=app2"

[metrics.locks]
enabled = false

[metrics.stat_statements]
interval = "2m"
timeout = 7

[agent]
tick = "500ms"
lease = "2m"
"""


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("SBPGMON_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def full(tmp_path: Path) -> Path:
    (tmp_path / "etc" / "sql").mkdir(parents=True)
    path = tmp_path / "etc" / "sbpgmon.toml"
    path.write_text(FULL)
    return path


# Durations


@pytest.mark.parametrize(("text", "seconds"), [
    ("500ms", 0.5), ("15s", 15), ("5m", 300), ("5min", 300), ("1h", 3600), ("7d", 604800), ("1.5h", 5400), ("20", 20),
    (" 3 s ", 3), (20, 20), (0.25, 0.25),
])  # fmt: skip
def test_durations(text: object, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 week", "1h30m", "1e3", "nan", "inf", "٣s", None, True, [1]])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_seconds(text)


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "min", "h", "d", ""]))
def test_a_duration_is_its_number_of_units(number: int, unit: str) -> None:
    assert parse_seconds(f"{number}{unit}") == pytest.approx(number * parse_seconds(f"1{unit}"))


# The file


def test_everything_out_of_a_file(full: Path) -> None:
    settings = load(full)
    assert [target.name for target in settings.targets] == ["app-1", "app.2"]
    assert settings.store_dsn.startswith("host=store")
    assert settings.store.readers == ["grafana", "boss"]
    assert settings.metrics["locks"].enabled is False
    assert (settings.metrics["stat_statements"].interval, settings.metrics["stat_statements"].timeout) == (120, 7)
    assert (settings.agent.tick, settings.agent.lease, settings.agent.deadline) == (0.5, 120, 60)
    assert settings.texts == "off"


def test_relative_paths_begin_at_the_files_folder(full: Path) -> None:
    settings = load(full)
    assert settings.queries_dir == full.parent / "sql"
    assert settings.state_dir == full.parent / "state"


def test_the_file_of_the_current_folder_is_taken(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(full.parent)
    assert len(load().targets) == 2


def test_no_file_is_needed() -> None:
    settings = load()
    assert settings.targets == []
    with pytest.raises(ConfigError, match="No target is configured"):
        require_targets(settings)


def test_the_only_target_is_the_store(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('[[targets]]\nname = "a"\ndsn = "dbname=a"\n')
    assert load(path).store_dsn == "dbname=a"
    path.write_text(path.read_text() + '[[targets]]\nname = "b"\ndsn = "dbname=b"\n')
    with pytest.raises(ConfigError, match="2 targets but no store"):
        _ = load(path).store_dsn


# The environment and the command line


def test_the_environment_outranks_the_file(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SBPGMON_STORE__DSN": "dbname=other",
        "SBPGMON_AGENT__LEASE": "9s",
        "SBPGMON_METRICS__LOCKS__ENABLED": "true",
        "SBPGMON_TEXTS": "normalized",
    }.items():
        monkeypatch.setenv(name, value)
    settings = load(full)
    assert settings.store_dsn == "dbname=other"
    assert settings.store.readers == ["grafana", "boss"]
    assert (settings.agent.lease, settings.agent.tick) == (9, 0.5)
    assert settings.metrics["locks"].enabled
    assert settings.metrics["stat_statements"].interval == 120
    assert settings.texts == "normalized"


def test_targets_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBPGMON_TARGETS", json.dumps([{"name": "a", "dsn": "dbname=a"}]))
    assert [target.dsn for target in load().targets] == ["dbname=a"]


def test_options_that_are_no_settings_may_be_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DSN", "CONFIG", "LOG_FORMAT", "VERBOSE", "TOP_LIMIT"):
        monkeypatch.setenv(f"SBPGMON_{name}", "x")
    assert load().targets == []


def test_the_command_line_outranks_both(full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBPGMON_STATE_DIR", str(tmp_path / "env"))
    monkeypatch.setenv("SBPGMON_ALLOW_SUPERUSER", "false")
    settings = load(full, queries_dir=tmp_path, state_dir=tmp_path / "option", allow_superuser=True)
    assert settings.queries_dir == tmp_path
    assert settings.state_dir == tmp_path / "option"
    assert settings.allow_superuser
    assert load(full).state_dir == tmp_path / "env"


def test_one_dsn_is_target_and_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBPGMON_STORE__READERS", '["boss"]')
    settings = load(dsn="dbname=app")
    assert [(target.name, target.dsn) for target in settings.targets] == [("default", "dbname=app")]
    assert (settings.store_dsn, settings.store.readers) == ("dbname=app", ["boss"])


def test_one_dsn_and_a_file_with_targets_do_not_go_together(full: Path) -> None:
    with pytest.raises(ConfigError, match=r"--dsn was given, but .* has targets or a store") as refused:
        load(full, dsn="dbname=app")
    assert str(full) in refused.value.what


@pytest.mark.parametrize(
    ("name", "value"),
    [("SBPGMON_STORE__DSN", "dbname=other"), ("SBPGMON_TARGETS", '[{"name": "a", "dsn": "dbname=a"}]'),
     ("SBPGMON_STORE", '{"dsn": "dbname=other"}')],
)  # fmt: skip
def test_one_dsn_is_never_overruled_in_silence(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"--dsn was given, but .*{name}"):
        load(dsn="dbname=app")


# What is wrong


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[store", "not valid TOML"),
        ("[store]\ndns = 'x'", "store.dns: unknown key"),
        ("colour = 'red'", "colour: unknown key"),
        ("[[targets]]\nname = 'a'", "targets.0.dsn: Field required"),
        ("[[targets]]\nname = 'a b'\ndsn = ''", "targets.0.name: .*a target's name is letters"),
        ("[[targets]]\nname = 'a\\n'\ndsn = ''".replace("'", '"'), "targets.0.name: .*a target's name is letters"),
        ("[[targets]]\nname = '../x'\ndsn = ''", "targets.0.name"),
        ("[[targets]]\nname='a'\ndsn='x'\n[[targets]]\nname='a'\ndsn='y'", "two targets are named 'a'"),
        ("[agent]\ntick = 'often'", "agent.tick: .*'often' is not a duration"),
        ("[agent]\ntick = 0", "agent.tick: .*more than 0"),
        ("[agent]\ntick = inf", "agent.tick: .*more than 0, and end"),
        ("[agent]\ntick = nan", "agent.tick: .*more than 0, and end"),
        ("[agent]\nspool_bytes = 1", "agent.spool_bytes"),
        ("[metrics.locks]\ninterval = '-1s'", "metrics.locks.interval"),
        ("texts = 'all'", "texts: .*'normalized' or 'off'"),
        ("queries_dir = 'nowhere'", "queries_dir .*nowhere is not a folder"),
        ("targets = 3", "targets: "),
        ("[[store]]\ndsn = 'x'", "store: "),
    ],
)
def test_a_wrong_file_is_named_with_the_key(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=what) as refused:
        load(path)
    assert str(tmp_path) in refused.value.what
    assert refused.value.way_out
    assert "\n" not in refused.value.what


@pytest.mark.parametrize("value", ["{", "[1", "3", '[{"name": "a"}]'])
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SBPGMON_TARGETS", value)
    with pytest.raises(ConfigError, match=r"(?i)targets"):
        load()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: no such file"):
        load(tmp_path / "gone.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        ("[store]\n", "[store]\nunknown = 1\n"),
        ("tick = ", "tock = "),
        ('name = "app-1"', 'name = "app 1"'),
        ('name = "app-1"\ndsn = ', 'name = "app-1"\ndns = '),
        ("[[targets]]\n", "[[targets]]\npassword = 'PASS'\n".replace("PASS", SECRET)),
        (f'dsn = "postgresql://reader:{SECRET}@db1/app"', f'dsn = ["{SECRET}"]'),
        (f'password={SECRET}"', f"password={SECRET}"),
    ],
)
def test_no_error_shows_a_password(full: Path, change: tuple[str, str]) -> None:
    assert change[0] in FULL
    full.write_text(FULL.replace(*change, 1))
    with pytest.raises(ConfigError) as refused:
        load(full)
    shown = f"{refused.value!r} {refused.value} {refused.value.__cause__!r}"
    assert SECRET not in shown
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("value", [f'[{{"name": "a", "dns": "password={SECRET}"}}]', f'[{{"password": "{SECRET}'])
def test_no_error_shows_a_password_of_the_environment(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SBPGMON_TARGETS", value)
    with pytest.raises(ConfigError) as refused:
        load()
    assert SECRET not in f"{refused.value!r} {refused.value}"
    assert refused.value.__suppress_context__
