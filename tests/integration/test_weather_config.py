"""Bad input: the configuration, DSNs, files. One message each, the documented exit code, never a password."""

from __future__ import annotations

import secrets
import stat
from pathlib import Path

import pytest

from sbpgmon.config import load, require_targets
from sbpgmon.errors import ConfigError
from tests.integration.support import OWNER, TARGET, Site, wait_for


@pytest.mark.parametrize("command", ["run", "init", "doctor", "status"])
def test_no_configuration_at_all(offline: Site, command: str) -> None:
    offline.config.unlink()
    done = offline.run(command, check=2)
    assert f"error: {offline.config}: no such file." in done.stderr
    assert "→ Check --config" in done.stderr


def test_no_target(offline: Site) -> None:
    offline.config.write_text("")
    done = offline.run("collect", check=2)
    assert "No target is configured." in done.stderr
    assert "--dsn" in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("targets = [", "not valid TOML"),
        ("[environment]\ntick = 'soon'", "environment.tick: Value error, 'soon' is not a duration"),
        ("[environment]\ntick = -1", "a duration must be more than 0"),
        ("[agent]\nmax_snapshot_bytes = 1", "agent.max_snapshot_bytes: "),
        ("stores = 1", "stores: unknown key"),
        ("[store]\nsdn = 'x'", "store.sdn: unknown key"),
        ("[[targets]]\nname = 'a b'\ndsn = ''", "a target's name is letters"),
        ("[[targets]]\nname = '../../etc'\ndsn = ''", "a target's name is letters"),
        ("[[targets]]\nname = 'a'", "targets.0.dsn: Field required"),
        ("[[targets]]\nname = 'a'\ndsn = ''\n[[targets]]\nname = 'a'\ndsn = ''", "two targets are named 'a'"),
        ("[[targets]]\nname = 'a'\ndsn = ''\n[[targets]]\nname = 'b'\ndsn = ''", "no store is configured"),
        ("targets = 7", "targets: "),
        ("texts = 'all'", "texts: "),
        ("queries_dir = 'nowhere'", "is not a folder"),
        ("\xff", "cannot be read"),
    ],
)
def test_a_configuration_that_is_wrong(offline: Site, text: str, message: str) -> None:
    offline.config.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        require_targets(load(offline.config)).store_dsn  # noqa: B018
    assert message in caught.value.what
    assert caught.value.way_out
    assert caught.value.exit_code == 2


def test_a_configuration_that_is_a_folder(offline: Site) -> None:
    offline.config.unlink()
    offline.config.mkdir()
    assert "directory" in offline.run("collect", check=2).stderr


def test_a_metric_that_is_not_there_is_said_and_no_more(monitored: Site) -> None:
    monitored.configure(metrics={"loks": {"interval": "1s"}})
    done = monitored.run("collect")
    assert "[metrics.loks]: there is no metric of this name" in done.stderr


@pytest.mark.parametrize(
    "option", [("--frobnicate",), ("collect", "--frobnicate"), ("frobnicate",), ("top", "--limit", "x")]
)
def test_wrong_usage(offline: Site, option: tuple[str, ...]) -> None:
    done = offline.run(*option, check=2)
    assert "Error: " in done.stderr
    assert "Usage: sbpgmon" in done.stderr


DSNS = [
    "host=/nowhere password={} user=x nonsense",
    "host=/nowhere password={} sllmode=disable",
    "postgresql://user:{}@/x?nonsense=1",
    "postgresql://user:{}@[::1/x",
    "postgresql://user:{}%zz@host/x",
    "postgresql://user:/{}@host/x",
    "postgresql://user:/{}@host/x?application_name=a",
    "postgresql://user:a@{}@host:5432/x",
    "{}://user@host/db",
    "user='x password={}",
]


def _refused(site: Site, dsn: str, command: str) -> None:
    secret = f"hush{secrets.token_hex(8)}"
    site.targets = {TARGET: dsn.format(secret)}
    site.configure(store=dsn.format(secret))
    done = site.run(command, check=13 if command == "doctor" else 2)
    assert secret not in done.stdout + done.stderr
    assert "does not parse" in " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("dsn", DSNS)
def test_a_dsn_that_does_not_parse(offline: Site, dsn: str) -> None:
    _refused(offline, dsn, "collect")


@pytest.mark.parametrize("command", ["doctor", "grants", "rollback"])
def test_a_dsn_that_does_not_parse_in_every_command(offline: Site, command: str) -> None:
    _refused(offline, "postgresql://user:/{}@host/x", command)


def test_one_target_whose_dsn_does_not_parse_stops_no_other(monitored: Site) -> None:
    secret = f"hush{secrets.token_hex(8)}"
    monitored.targets = {"typo": f"hots=db password={secret}"} | monitored.targets
    monitored.configure()
    done = monitored.run("collect", check=None)
    assert done.returncode in (2, 10)
    assert "typo" in done.stderr
    assert secret not in done.stderr


def _leaks(site: Site, secret: str) -> list[str]:
    """Where the secret stands: in files other than the configuration, or in the store."""
    found = [
        str(p) for p in site.folder.rglob("*") if p.is_file() and p != site.config and secret in p.read_text("latin-1")
    ]
    for (query,) in site.ask(
        "SELECT format('SELECT count(*) FROM %%s t WHERE t::text LIKE %%L', oid::regclass, %s::text) FROM pg_class "
        "WHERE relnamespace = 'monitoring'::regnamespace AND relkind IN ('r', 'v')",
        f"%{secret}%",
    ):
        if site.value(query):
            found.append(query)
    return found


def test_a_password_is_never_told(monitored: Site) -> None:
    secret = f"hush{secrets.token_hex(8)}"
    dsn = monitored.database.dsn("sbpgmon_reader", password=secret)
    monitored.targets = {TARGET: dsn, "down": f"postgresql://someone:{secret}@127.0.0.1:1/nothing"}
    monitored.configure(store=monitored.database.dsn(OWNER, password=secret))
    said = [
        monitored.run("-v", *command, check=None)
        for command in (
            ["init"], ["collect"], ["--log-format", "json", "collect"], ["status"], ["doctor"], ["grants"],
        )
    ]  # fmt: skip
    assert [done.returncode for done in said] == [0, 10, 10, 0, 13, 0]
    assert not any(secret in done.stdout + done.stderr for done in said)
    with monitored.start("-v", "run"):
        wait_for(lambda: "Target down" in monitored.log)
    assert secret not in monitored.log
    assert _leaks(monitored, secret) == []
    # The doctor says where it should not stand.
    assert "the password stands in the DSN" in " ".join(said[4].stdout.split())
    gone = monitored.run("rollback", "--yes")
    assert secret not in gone.stdout + gone.stderr


def test_the_state_folder_is_nobody_elses(monitored: Site) -> None:
    monitored.polled()
    for path in (monitored.state_dir / "last").rglob("*"):
        if path.is_dir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_state_folder_that_cannot_be_made(monitored: Site) -> None:
    (monitored.folder / "file").write_text("")
    monitored.configure(state_dir="file/state")
    done = monitored.run("collect", check=2)
    assert f"The state folder {monitored.folder}/file/state cannot be written: Not a directory." in done.stderr
    assert "→ Set state_dir" in done.stderr


def test_a_queries_dir_with_a_broken_file(monitored: Site) -> None:
    path = monitored.add_file("metrics/orders.sql", "-- Orders.\n--\n-- interval: soon\n-- columns:\nselect 1\n")
    monitored.add_file("metrics/Bad Name.sql", "select 1\n")
    good = "-- Fine.\n--\n-- interval: 15s\n-- columns:\n--   v  gauge  integer  value\nselect 1 as v\n"
    monitored.add_file("metrics/fine.sql", good)
    monitored.configure(queries_dir="queries")
    for command in (["collect"], ["init"]):
        done = monitored.run(*command, check=2)
        assert f"{path}:4: " in done.stderr or f"{path}:3: " in done.stderr
        assert "Bad Name.sql:1: " in done.stderr
    # The others go on.
    rows = monitored.ask("SELECT metric, status FROM monitoring.snapshot WHERE metric IN ('fine', 'locks', 'orders')")
    assert sorted(rows) == [("fine", "ok"), ("locks", "ok")]
    doctor = monitored.run("doctor", check=13)
    assert "orders.sql:" in "".join(doctor.stdout.split())


def test_a_queries_dir_of_another_shape_is_fine(monitored: Site, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    monitored.configure(queries_dir=str(tmp_path / "empty"))
    monitored.polled()
