"""`sbpgmon report` from outside: what it writes, what it says, how it ends."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.integration.support import GRAFANA, OWNER, TARGET, Site

_ABOUT = 'title = "Own"\ndescription = "Made for a test."\nlevel = "raw"\norder = 9\n'
_PANEL = """-- {title}
--
-- Made for a test.
--
-- kind: table
-- columns:
--   text  label  Text
{sql}
"""


@pytest.fixture
def polled(monitored: Site) -> Site:
    """A store with two readings of one target."""
    monitored.run("collect")
    monitored.run("collect")
    return monitored


def add_panel(site: Site, name: str, sql: str) -> None:
    site.add_file("panels/own/dashboard.toml", _ABOUT)
    site.add_file(f"panels/own/{name}.sql", _PANEL.format(title=name, sql=sql))
    site.configure(queries_dir="queries")


def data_of(file: Path) -> dict[str, dict[str, list[list[object]]]]:
    text = file.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    panels: dict[str, dict[str, list[list[object]]]] = json.loads(found[1])["panels"]
    return panels


def test_all_dashboards_in_one_file(polled: Site) -> None:
    done = polled.run("report", "--since", "15m", cwd=polled.folder)
    [file] = polled.folder.glob("sbpgmon-report-*.html")
    said = re.fullmatch(
        rf"Wrote {file.name} \(\d\.\d MB, (\d+) dashboards?, (\d+) panels(, \d+ without data)?\)\n", done.stdout
    )
    assert said, done.stdout
    assert int(said[2]) > 20
    # No terminal, no progress.
    assert done.stderr == ""
    assert data_of(file)
    assert file.stat().st_mode & 0o777 == 0o644
    assert not list(polled.folder.glob(".sbpgmon-report*"))


def test_a_dashboard_of_one_target_is_of_the_busiest(polled: Site) -> None:
    with polled.database.connect() as admin:
        admin.execute("INSERT INTO monitoring.target (name) VALUES ('aardvark')")
    for chosen, shown in (((), TARGET), (("--target", "aardvark"), "aardvark")):
        arguments = ("--dashboard", "query_performance", "--since", "15m", "-o", "r.html")
        polled.run("report", *arguments, *chosen, cwd=polled.folder)
        text = re.sub(r"<[^>]+>", "", (polled.folder / "r.html").read_text(encoding="utf-8"))
        assert f"Target: {shown}" in text


def test_what_is_asked_for_has_to_be_there(polled: Site) -> None:
    for args, what, way_out in (
        (["--dashboard", "nope"], "There is no dashboard named nope.", "There are: all, overview"),
        (["--dashboard", "overview", "--panel", "nope"], "has no panel named nope.", "targets"),
        (["--target", "nope"], "The store has no target named nope.", "There are: app."),
        (["--var", "nope=1"], "a variable named nope.", "There are: "),
        (["--var", "nope"], "--var nope is not NAME=VALUE.", "--var queryid=123"),
        (["--var", "target=app"], "another way to say --target", "--target app"),
        (["--since", "1h", "--until", "2h"], "--since is not before --until.", "earlier"),
        (["--since", "0s"], "less than a second", "earlier"),
        (["--since", "9999999d"], "longer ago than the calendar goes", ""),
        (["--since", "0001-01-01T00:00+14:00"], "not within the years 1 to 9999", ""),
        (["--until", "9999-12-31T23:59-12:00"], "not within the years 1 to 9999", ""),
        (["--format", "png"], "A picture is of one panel.", "--panel NAME"),
        (["--width", "500"], "--width and --height are for pictures.", "png"),
        (["-o", str(polled.folder)], f"{polled.folder} is a folder.", "Name a file"),
        (["-o", "/no/such/folder/r.html"], "/no/such/folder is no folder.", "Make it"),
    ):
        done = polled.run("report", *args, check=2)
        assert what in done.stderr, args
        assert way_out in done.stderr, args
        assert done.stdout == ""


def test_of_many_targets_some_are_listed(polled: Site) -> None:
    with polled.database.connect() as admin:
        admin.execute("INSERT INTO monitoring.target (name) SELECT 'b' || g FROM generate_series(100, 1999) AS g")
    done = polled.run("report", "--target", "nope", check=2)
    assert "There are: app, b100, " in done.stderr
    assert " and 1,881 more." in done.stderr
    assert len(done.stderr) < 500


def test_one_panel_as_a_picture(polled: Site) -> None:
    file = polled.folder / "p.png"
    args = ["--dashboard", "overview", "--panel", "targets", "--format", "png"]
    done = polled.run("report", *args, "--width", "900", "-o", str(file))
    assert done.stdout.startswith(f"Wrote {file} (")
    assert file.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    polled.run("report", *args, cwd=polled.folder)
    assert list(polled.folder.glob("sbpgmon-overview-targets-*.png"))


def test_an_empty_store_is_a_page_without_data(monitored: Site) -> None:
    file = monitored.folder / "r.html"
    done = monitored.run("report", "-o", str(file))
    assert "without data" in done.stdout
    assert "could not be read" not in done.stdout
    assert "no targets yet" in file.read_text(encoding="utf-8")


def test_a_range_without_data_is_a_page_without_data(polled: Site) -> None:
    file = polled.folder / "r.html"
    done = polled.run("report", "--since", "2020-01-01", "--until", "2020-01-02", "-o", str(file))
    assert "without data" in done.stdout
    assert "could not be read" not in done.stdout
    assert "2020-01-01 00:00 to 2020-01-02 00:00 UTC" in file.read_text(encoding="utf-8")


def test_a_panel_that_fails_says_so_and_the_others_are_drawn(polled: Site) -> None:
    add_panel(polled, "01_good", "select 'fine' as text")
    add_panel(polled, "02_bad", "select (1 / (select 0))::text as text")
    add_panel(polled, "03_gone", "select x.text from monitoring.nowhere as x")
    add_panel(polled, "04_other", "select 'a' as other")
    add_panel(polled, "05_many", "select g::text as text from generate_series(1, 30000) as g")
    add_panel(polled, "06_last", "select 'fine too' as text")
    file = polled.folder / "r.html"
    done = polled.run("report", "--dashboard", "own", "-o", str(file))
    assert "6 panels, 4 could not be read" in done.stdout
    text = file.read_text(encoding="utf-8")
    for said in ("division by zero", "monitoring.nowhere", "returns other, and not text", "more than 20,000 rows"):
        assert said in text
    assert {name: each["data"] for name, each in data_of(file).items()} == {
        "own.good": [["fine"]],
        "own.last": [["fine too"]],
    }


def test_a_broken_panel_file_is_left_out_and_named(polled: Site) -> None:
    add_panel(polled, "01_good", "select 'fine' as text")
    add_panel(polled, "02_bad", "select 'fine' as text -- not allowed")
    done = polled.run("report", "--dashboard", "own", "-o", str(polled.folder / "r.html"))
    assert "1 panel)" in done.stdout
    assert "left out: " in done.stderr
    assert "02_bad.sql" in done.stderr


def test_texts_of_the_store_do_not_break_out(polled: Site) -> None:
    nasty = "</script><script>alert(1)</script><!-- <b>\u2028"
    # A panel's SQL has no `--`.
    add_panel(polled, "01_nasty", f"select replace('{nasty.replace('--', '~~')}', '~~', '-' || '-') as text")
    file = polled.folder / "r.html"
    polled.run("report", "--dashboard", "own", "-o", str(file))
    assert data_of(file)["own.nasty"]["data"] == [[nasty]]
    assert "<script>alert" not in file.read_text(encoding="utf-8")


def test_a_panel_cannot_write(polled: Site) -> None:
    add_panel(polled, "01_write", "select setval('monitoring.target_target_id_seq', 1)::text as text")
    done = polled.run("report", "--dashboard", "own", "-o", str(polled.folder / "r.html"))
    assert "1 could not be read" in done.stdout
    assert "read-only" in (polled.folder / "r.html").read_text(encoding="utf-8")


def test_a_store_that_is_not_ours_or_too_old(bare: Site, polled: Site) -> None:
    done = bare.run("report", "-o", str(bare.folder / "r.html"), check=21)
    assert "init" in done.stderr
    with polled.database.connect() as conn:
        conn.execute("UPDATE monitoring.alembic_version SET version_num = '0001'")
    done = polled.run("report", "-o", str(polled.folder / "r.html"), check=22)
    assert "sbpgmon init" in done.stderr
    assert not (polled.folder / "r.html").exists()


def test_a_store_that_is_away(offline: Site) -> None:
    done = offline.run("report", "-o", str(offline.folder / "r.html"), check=20)
    assert "Traceback" not in done.stderr
    assert not (offline.folder / "r.html").exists()


def test_an_older_file_stays_when_the_new_one_cannot_be_made(polled: Site) -> None:
    file = polled.folder / "r.html"
    file.write_text("old")
    polled.run("report", "--target", "nope", "-o", str(file), check=2)
    assert file.read_text() == "old"
    polled.run("report", "--dashboard", "overview", "-o", str(file))
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert OWNER not in file.read_text(encoding="utf-8")


def test_a_device_is_written_to_and_not_replaced(polled: Site) -> None:
    pipe = polled.folder / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")), daemon=True)
    reader.start()
    polled.run("report", "--dashboard", "overview", "-o", str(pipe))
    reader.join(10)
    assert read[0].endswith("</html>\n")
    assert pipe.is_fifo()
    # A link of our own to it: not even a program that replaced it could harm the device.
    full = polled.folder / "full"
    full.symlink_to("/dev/full")
    done = polled.run("report", "--dashboard", "overview", "-o", str(full), check=2)
    assert "cannot be written: No space left on device." in done.stderr
    assert full.is_symlink()


def test_a_link_stays_and_leads_to_the_report(polled: Site) -> None:
    (polled.folder / "of the day").mkdir()
    link, file = polled.folder / "latest.html", polled.folder / "of the day" / "r.html"
    link.symlink_to(file)
    polled.run("report", "--dashboard", "overview", "-o", str(link))
    assert link.is_symlink()
    assert file.read_text(encoding="utf-8").endswith("</html>\n")


def test_to_stdout_and_what_was_done_to_stderr(polled: Site) -> None:
    done = polled.run("report", "--dashboard", "overview", "-o", "-", cwd=polled.folder)
    assert done.stdout.startswith("<!doctype html>")
    assert done.stdout.endswith("</html>\n")
    assert done.stderr.startswith("Wrote to stdout (")
    assert not (polled.folder / "-").exists()


def test_the_role_of_grafana_can_have_a_report(polled: Site) -> None:
    polled.configure(store=polled.database.dsn(GRAFANA))
    done = polled.run("report", "--since", "15m", "-o", str(polled.folder / "r.html"))
    assert "could not be read" not in done.stdout
    assert "overview.targets" in data_of(polled.folder / "r.html")


def test_a_role_that_may_not_read_the_views(polled: Site, make_role: Any) -> None:
    role = make_role()
    polled.configure(store=polled.database.dsn(role))
    done = polled.run("report", "-o", str(polled.folder / "r.html"), check=23)
    assert f"The role {role} may not read the views of monitoring." in done.stderr
    assert "grafana_reader" in done.stderr
