"""The main job from the first command to the last, on whatever major is there, and with its standby as a target."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from sbpgmon.demo.server import Cluster
from tests.integration.support import OWNER, READER, SNAPSHOTS, TARGET, Site, fresh_database
from tests.sql.test_schema import dump
from tests.standby import Standby

pytestmark = pytest.mark.matrix

CALLS = {TARGET: 5, "replica": 7}


def test_init_collect_top_rollback(own_cluster: Cluster, standby: Standby, tmp_path: Path) -> None:
    with fresh_database(own_cluster) as database:
        with database.connect() as admin:
            admin.execute("CREATE EXTENSION pg_stat_statements; CREATE TABLE bet (stake numeric); CREATE SCHEMA app")
            major = admin.info.server_version // 10000
        before = dump(database)
        standby.catch_up()
        site = Site(database, tmp_path / "site")
        site.targets["replica"] = standby.dsn(database.name, READER)
        site.configure()

        site.run("init")
        standby.catch_up()
        site.run("collect")
        for target, calls in CALLS.items():
            server = standby if target == "replica" else own_cluster
            with psycopg.connect(server.dsn(database.name), autocommit=True) as session:
                for stake in range(calls):
                    session.execute(f"SELECT sum(stake) AS of_the_main_job FROM bet WHERE stake > {stake}".encode())
        standby.catch_up()
        # The texts of what is new come with the poll after it.
        for _ in range(2):
            assert f"2 targets polled: {2 * len(SNAPSHOTS)} snapshots stored" in site.run("collect").stderr

        top = json.loads(site.run("top", "--limit", "10000", "--format", "json").stdout)
        found = {row["target"]: row for row in top if "of_the_main_job" in (row["query"] or "")}
        assert {target: (row["calls"], row["rows"]) for target, row in found.items()} == {
            target: (calls, calls) for target, calls in CALLS.items()
        }
        status = json.loads(site.run("status", "--format", "json").stdout)
        assert {target["target"]: target["is_standby"] for target in status["targets"]} == {
            TARGET: False,
            "replica": True,
        }
        assert {(s["metric"], s["status"]) for s in status["snapshots"]} == {(metric, "ok") for metric in SNAPSHOTS}
        said = {int(version) // 10000 for (version,) in site.ask("SELECT server_version_num FROM monitoring.server")}
        assert said == {major}

        site.run("rollback", "--yes")
        assert dump(database) == before
        site.run("collect", check=21)
        with database.connect(OWNER) as owner:
            assert owner.execute("SELECT to_regnamespace('monitoring')").fetchone() == (None,)
