"""Settings: the file, the environment, the command line; what is wrong is said without any secret."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.catalog.retention import check_retention
from sbpgmon.config import Settings, load, parse_seconds, require_targets
from sbpgmon.durations import in_words
from sbpgmon.environment import problems_of
from sbpgmon.errors import ConfigError
from sbpgmon.model import TIER_SECONDS

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

[environment]
profile = "staging"
tick = "5s"

[agent]
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
    ("2w", 1209600), ("1y", 31536000),
    (" 3 s ", 3), (20, 20), (0.25, 0.25),
])  # fmt: skip
def test_durations(text: object, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 week", "1h30m", "1e3", "nan", "inf", "٣s", None, True, [1]])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_seconds(text)


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "min", "h", "d", "w", "y", ""]))
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
    assert (settings.tick_seconds, settings.agent.lease, settings.agent.deadline) == (5, 120, 60)
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
    assert (settings.agent.lease, settings.tick_seconds) == (9, 5)
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
        ("[agent]\ntick = '1s'", "agent.tick: unknown key"),
        ("[environment]\ntick = 'often'", "environment.tick: .*'often' is not a duration"),
        ("[environment]\ntick = 0", "environment.tick: .*more than 0"),
        ("[environment]\ntick = '900ms'", "environment.tick: .*greater than or equal to 1"),
        ("[environment]\ntick = inf", "environment.tick: .*more than 0, and end"),
        ("[environment]\ntick = nan", "environment.tick: .*more than 0, and end"),
        ("[environment]\nprofile = 'test'", "environment.profile: .*'development', 'staging' or 'production'"),
        ("[environment]\nretention = '1d'", "environment.retention: .*dictionary"),
        (
            "[environment]\nretention = { '2m' = '1d' }",
            "environment.retention: .*'2m' is not a tier: raw, 1m, 5m, 1h, 1d",
        ),
        ("[environment]\nretention = { raw = 'ever' }", "environment.retention.raw: .*'ever' is not a duration"),
        ("[environment]\nretention = { raw = 0 }", "environment.retention.raw: .*more than 0"),
        ("[metrics.locks]\nretention = { '1w' = '1d' }", "metrics.locks.retention: .*'1w' is not a tier"),
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


# Profiles, ticks, retention

DAY = 86400.0


def _load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "x.toml"
    path.write_text(text)
    return load(path)


@pytest.mark.parametrize(("profile", "tick", "retention"), [
    ("development", 30, {"raw": 0.25, "1m": 7, "5m": 7, "1h": 7, "1d": 7}),
    ("staging", 15, {"raw": 0.25, "1m": 7, "5m": 14, "1h": 14, "1d": 14}),
    ("production", 15, {"raw": 0.25, "1m": 7, "5m": 30, "1h": 365, "1d": None}),
])  # fmt: skip
def test_profiles(tmp_path: Path, profile: str, tick: float, retention: dict[str, float | None]) -> None:
    settings = _load(tmp_path, f'[environment]\nprofile = "{profile}"')
    assert settings.tick_seconds == tick
    assert settings.retention == {tier: days and days * DAY for tier, days in retention.items()}
    assert settings.retention_of("locks") == settings.retention


def test_production_is_what_nothing_said_means() -> None:
    assert load().environment.profile == "production"


def test_a_profile_is_replaced_figure_by_figure_and_by_metric(tmp_path: Path) -> None:
    settings = _load(
        tmp_path,
        '[environment]\nprofile = "staging"\ntick = "5s"\nretention = { "5m" = "10d", 1d = "forever" }\n'
        '[metrics.locks]\nretention = { raw = "1d", "1h" = "4w", "1d" = "2y" }\n',
    )
    assert settings.tick_seconds == 5
    kept = {"raw": 0.25 * DAY, "1m": 7 * DAY, "5m": 10 * DAY, "1h": 14 * DAY, "1d": None}
    assert settings.retention == kept == settings.retention_of("server")
    assert settings.retention_of("locks") == kept | {"raw": DAY, "1h": 28 * DAY, "1d": 730 * DAY}
    assert list(settings.retention_of("locks")) == ["raw", "1m", "5m", "1h", "1d"]


def test_retention_out_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SBPGMON_ENVIRONMENT__PROFILE", "development")
    monkeypatch.setenv("SBPGMON_ENVIRONMENT__TICK", "1m")
    monkeypatch.setenv("SBPGMON_ENVIRONMENT__RETENTION__1D", "forever")
    monkeypatch.setenv("SBPGMON_METRICS__LOCKS__RETENTION", '{"1m": "8d"}')
    settings = _load(tmp_path, '[environment]\nprofile = "staging"\nretention = { raw = "3h" }')
    assert (settings.environment.profile, settings.tick_seconds) == ("development", 60)
    assert (settings.retention["raw"], settings.retention["1d"]) == (3 * 3600, None)
    assert settings.retention_of("locks")["1m"] == 8 * DAY


@pytest.mark.parametrize(
    ("retention", "what"),
    [
        ('{ raw = "8d" }', "1m is kept for 7 d, and the finer raw longer: 8 d"),
        ('{ "1h" = "3d" }', "1h is kept for 3 d, and the finer 5m longer: 30 d"),
        ('{ raw = "forever" }', "1h is kept for 365 d, and the finer raw longer: forever"),
        ('{ raw = "30s" }', "raw is kept for 30 s, and roll-ups out of it need 2 h"),
        ('{ raw = "1h" }', "raw is kept for 1 h, and roll-ups out of it need 2 h"),
        ('{ raw = "2h", "1m" = "30s" }', "1m is kept for 30 s, less than one of its own steps"),
        ('{ "1d" = "3h" }', "1d is kept for 3 h, less than one of its own steps"),
    ],
)
def test_a_retention_that_cannot_be(tmp_path: Path, retention: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as refused:
        _load(tmp_path, f"[environment]\nretention = {retention}")
    assert refused.value.what.startswith(f"{tmp_path / 'x.toml'}: environment.retention: ")
    assert "production" in refused.value.what
    assert "coarser tier" in refused.value.way_out


@given(st.lists(st.one_of(st.none(), st.integers(2, 10**5)), min_size=5, max_size=5))
def test_tiers_nest_or_are_refused(hours: list[int | None]) -> None:
    ages = {tier: None if n is None else n * 3600.0 for tier, n in zip(TIER_SECONDS, hours, strict=True)}
    numbers = [math.inf if age is None else age for age in ages.values()]
    fine = numbers == sorted(numbers) and numbers[-1] >= DAY
    assert (list(problems_of(ages)) == []) == fine


# With the catalog: retention against the tiers and the interval of a metric


def _check(tmp_path: Path, text: str) -> None:
    check_retention(_load(tmp_path, text), load_catalog())


@pytest.mark.parametrize("text", [
    "", '[environment]\nprofile = "development"', '[environment]\nprofile = "staging"',
    '[metrics.locks]\nretention = { raw = "1d" }', '[metrics.locks]\nretention = { raw = "2h", "1m" = "2h" }',
    '[metrics.locks]\ninterval = "6h"', '[metrics.locks]\ninterval = "1d"\nenabled = false',
    '[metrics.unheard_of]\ninterval = "1y"\nretention = { raw = "1s" }',
])  # fmt: skip
def test_a_retention_that_fits_the_metrics(tmp_path: Path, text: str) -> None:
    _check(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('interval = "7h"', "metrics.locks: raw is kept for 6 h, less than its interval of 7 h"),
        ('interval = "3h"\nretention = { raw = "2h" }', "raw is kept for 2 h, less than its interval of 3 h"),
        ('retention = { raw = "8d" }', "metrics.locks: 1m is kept for 7 d, and the finer raw longer: 8 d"),
        ('retention = { raw = "5m" }', "metrics.locks: raw is kept for 5 min, and roll-ups out of it need 2 h"),
    ],
)
def test_a_retention_that_a_metric_cannot_have(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as refused:
        _check(tmp_path, f"[metrics.locks]\n{text}")
    assert refused.value.what.startswith(f"{tmp_path / 'x.toml'}: ")
    assert "[metrics.NAME]" in refused.value.way_out


def test_a_tier_that_a_metric_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"metrics.stat_statements: it has no tier raw, but 1m, "):
        _check(tmp_path, '[metrics.stat_statements]\nretention = { raw = "1d" }')


@pytest.mark.parametrize(("seconds", "words"), [
    (0.5, "0.5 s"), (90, "90 s"), (60, "1 min"), (7200, "2 h"), (86400, "1 d"), (36500 * DAY, "36,500 d"),
    (None, "forever"),
])  # fmt: skip
def test_durations_in_words(seconds: float | None, words: str) -> None:
    assert in_words(seconds) == words
