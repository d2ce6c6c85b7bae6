"""`grafana provision` for a real store, and what it says of one that is not ready."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg

from sbpgmon.catalog.catalog import load_catalog
from tests.integration.support import GRAFANA, Site
from tests.unit.panel_files import panel, write

DASHBOARDS = load_catalog().dashboards


def tree(folder: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Data source, provider, dashboards by file name. What is written is JSON below a comment, and so YAML."""
    sources, providers = (
        json.loads((folder / "provisioning" / kind / "sbpgmon.yaml").read_text().split("\n", 1)[1])
        for kind in ("datasources", "dashboards")
    )
    files = {path.name: json.loads(path.read_text()) for path in (folder / "dashboards").iterdir()}
    return sources["datasources"][0], providers["providers"][0], files


def test_a_tree_for_the_store(monitored: Site, tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    done = monitored.run("grafana", "provision", str(folder), "--host", "127.0.0.1")
    source, provider, files = tree(folder)
    assert set(files) == {f"{name}.json" for name in DASHBOARDS}
    assert provider["options"]["path"] == str(folder / "dashboards")
    assert source["secureJsonData"] == {"password": "$SBPGMON_GRAFANA_PASSWORD"}
    assert {d["templating"]["list"][0]["current"]["value"] for d in files.values()} == {source["uid"]}
    assert "SBPGMON_GRAFANA_PASSWORD" in done.stdout
    # What Grafana is told leads to the store, and to its views.
    host, port = source["url"].rsplit(":", 1)
    assert host == "127.0.0.1"
    assert source["user"] == GRAFANA
    socket = monitored.database.dsn(source["user"])
    with psycopg.connect(socket, port=int(port), dbname=source["jsonData"]["database"]) as conn:
        assert conn.info.server_version // 100 == source["jsonData"]["postgresVersion"]
        conn.execute("SELECT * FROM monitoring.targets")


def test_again_with_a_dashboard_less(monitored: Site, tmp_path: Path) -> None:
    mine = write(tmp_path / "queries", {"10_up.sql": panel()})
    arguments = ("grafana", "provision", str(tmp_path / "tree"), "--host", "db")
    monitored.run("--queries-dir", str(mine), *arguments)
    assert (tmp_path / "tree" / "dashboards" / "mine.json").exists()
    monitored.run(*arguments, "--dashboards-path", "/var/lib/grafana/sbpgmon")
    _, provider, files = tree(tmp_path / "tree")
    assert "mine.json" not in files
    assert provider["options"]["path"] == "/var/lib/grafana/sbpgmon"


def test_a_reader_that_is_not_there(monitored: Site, tmp_path: Path) -> None:
    done = monitored.run("grafana", "provision", str(tmp_path / "x"), "--user", "nobody_at_all", check=2)
    assert "There is no role nobody_at_all in the store" in done.stderr
    assert not (tmp_path / "x").exists()


def test_a_socket_that_grafana_cannot_use(monitored: Site, tmp_path: Path) -> None:
    done = monitored.run("grafana", "provision", str(tmp_path / "x"), "--port", "5433", check=2)
    assert "at port 5432 alone; the store's is 5433" in done.stderr
    assert "--host" in done.stderr


def test_hosts_as_people_write_them(monitored: Site, tmp_path: Path) -> None:
    for host, url in (("::1", "[::1]"), ("[::1]", "[::1]"), ("db-1.example", "db-1.example")):
        monitored.run("grafana", "provision", str(tmp_path / "tree"), "--host", host, "--port", "5433")
        assert tree(tmp_path / "tree")[0]["url"] == f"{url}:5433"
    for host in ("db:5433", "postgresql://db/x", "a b"):
        done = monitored.run("grafana", "provision", str(tmp_path / "x"), "--host", host, check=2)
        assert "is neither a name nor an address" in done.stderr
        assert "--port" in done.stderr


def test_a_role_that_may_not_read(monitored: Site, tmp_path: Path, make_role: Any) -> None:
    done = monitored.run("grafana", "provision", str(tmp_path / "x"), "--host", "h", "--user", make_role(), check=2)
    assert "may not read the schema monitoring" in done.stderr


def test_a_store_without_the_schema(bare: Site, tmp_path: Path) -> None:
    done = bare.run("grafana", "provision", str(tmp_path / "x"), check=21)
    assert "sbpgmon init" in done.stderr
