"""The demo, step by step: from an empty server to history in `monitoring`, and out again without a trace."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from sbpgmon.demo import sportsbook
from sbpgmon.demo.commands import Sbpgmon, write_config
from sbpgmon.demo.interruptions import Interruptions
from sbpgmon.demo.leak import Leak
from sbpgmon.demo.proof import show_difference, take_picture
from sbpgmon.demo.screen import Screen
from sbpgmon.demo.server import Cluster
from sbpgmon.demo.traffic import Counts, Traffic
from sbpgmon.demo.truth import Comparison, Monitoring, wait_for_quiet
from sbpgmon.demo.workspace import DemoError, Workspace
from sbpgmon.errors import SbpgmonError

TARGET = "sportsbook"
_READER, _OWNER, _GRAFANA, _APP = "sbpgmon_reader", "sbpgmon_owner", "grafana_reader", "sportsbook_app"
_PATIENCE_SECONDS = 30.0
_LEAK_PATIENCE_SECONDS = 180.0  # a text is fetched, judged, and read again: a minute where the machine is busy


class Story:
    """One run of the demo in `workspace`, which is open and empty."""

    def __init__(self, workspace: Workspace, screen: Screen, interruptions: Interruptions, *, seconds: int) -> None:
        self._workspace = workspace
        self._screen = screen
        self._interruptions = interruptions
        self._seconds = seconds
        self._sbpgmon = Sbpgmon(workspace, width=screen.width)
        self._traffic: Traffic | None = None
        self._cluster = Cluster(workspace.data_dir, settings={"track_io_timing": "on"})

    def tell(self, *, keep: bool) -> None:
        """Runs all steps; with `keep` all is left running instead of rolled back. Raises SbpgmonError."""
        before = self._prepare()
        self._sbpgmon_run("init")
        self._sbpgmon_run("doctor")
        begun = datetime.now(UTC)
        monitoring = Monitoring(self._dsn(_GRAFANA), TARGET)
        counts = self._work(monitoring)
        self._sbpgmon_run("status")
        self._sbpgmon_run("top", "--limit", "10")
        self._show_comparison(monitoring, counts)
        self._show_cost(monitoring)
        self._report(begun)
        if keep:
            self._leave_running()
            return
        with self._screen.step("SIGTERM: the agent finishes its poll and ends with 0"):
            self._sbpgmon.stop_daemon()
        self._sbpgmon_run("rollback", "--yes")
        self._prove(before)
        self._name_report()

    def end(self) -> None:
        """Stops what still runs, whatever happened."""
        traffic, self._traffic = self._traffic, None
        try:
            if traffic is not None:
                # What went wrong has been said by then; its sessions failing too is no news.
                with contextlib.suppress(SbpgmonError):
                    traffic.stop()
        finally:
            self._sbpgmon.kill_daemon()

    def _prepare(self) -> str:
        screen = self._screen
        with screen.step("Start a PostgreSQL of our own") as notes:
            with self._interruptions.hold():
                self._cluster.create()
                self._cluster.start()
            notes.append(f"{self._cluster.version}, data in {_short(self._cluster.data_dir)}")
        with screen.step("Load a multi-tenant sportsbook") as notes:
            superuser = sportsbook.load(self._cluster.dsn())
            notes.append("8 tenants, 2,000 users, 12,000 bets, row level security")
        with screen.step("Create the roles of `sbpgmon grants`") as notes:
            sportsbook.create_roles(superuser)
            notes.append(", ".join((_READER, _OWNER, _GRAFANA)))
        with screen.step("Take a picture of the database, for later") as notes:
            before = take_picture(superuser, self._cluster.bin_dir)
            notes.append(f"pg_dump -s, roles, settings, privileges: {len(before.encode()):,} bytes")
        write_config(self._workspace, target=TARGET, reader_dsn=self._dsn(_READER), owner_dsn=self._dsn(_OWNER))
        return before

    def _work(self, monitoring: Monitoring) -> Counts:
        """Starts the agent, then the traffic; returns what the traffic did once the agent has seen it all."""
        screen = self._screen
        screen.command("sbpgmon run &")
        with screen.step("The agent takes its first readings"):
            with self._interruptions.hold():
                self._workspace.note_process("agent", self._sbpgmon.start_daemon())
            self._wait_for_snapshots(monitoring, since=None)
        with self._interruptions.hold():
            self._traffic = Traffic(self._dsn(_APP))
            self._traffic.start()
            if self._traffic.pgbench is not None and self._traffic.pgbench.pid is not None:
                self._workspace.note_process("pgbench", self._traffic.pgbench.pid)
        screen.say(f"  Traffic for {self._seconds} s: pgbench and nine Python sessions")
        self._watch(self._traffic, monitoring, self._seconds / 2)
        self._leak(self._traffic)
        self._watch(self._traffic, monitoring, self._seconds / 2)
        with screen.step("End the traffic, and let the agent read once more"):
            with self._interruptions.hold():
                counts = self._traffic.stop()
                self._traffic = None
            quiet_since = wait_for_quiet(self._dsn("postgres"), _APP)
            self._wait_for_snapshots(monitoring, since=quiet_since)
        return counts

    def _leak(self, traffic: Traffic) -> None:
        """Half way a policy is dropped, and a report reads every tenant: the agent finds both, and sees them mended."""
        screen = self._screen
        leak = Leak(self._dsn("postgres"), self._dsn(_GRAFANA), TARGET)

        def look() -> None:
            traffic.check()
            self._sbpgmon.check_daemon()

        with screen.step("A leak: the policy of app.ledger is dropped, and the report reads all tenants"):
            planted = leak.plant()
            found = leak.wait(planted, is_open=True, patience_seconds=_LEAK_PATIENCE_SECONDS, look=look)
        if found is None:
            raise DemoError(f"The agent has not found the leak:\n{self._sbpgmon.log_tail()}")
        screen.table(
            ["found after", "", "check", "object"],
            [
                [f"{max(0.0, (f.opened_at - planted).total_seconds()):.0f} s", f.severity, f.check, f.object]
                for f in found
            ],
        )
        with screen.step("The policy is put back"):
            mended = leak.mend()
            found = leak.wait(planted, is_open=False, patience_seconds=_LEAK_PATIENCE_SECONDS, look=look)
        if found is None:
            raise DemoError(f"The agent has not seen that the leak is mended:\n{self._sbpgmon.log_tail()}")
        closed = [f.closed_at for f in found if f.closed_at is not None]
        last = max((at - mended).total_seconds() for at in closed)
        screen.say(f"  All of it is closed, the last finding after {last:.0f} s.")

    def _watch(self, traffic: Traffic, monitoring: Monitoring, seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._screen.progress(round(seconds)) as live:
            while (left := until - time.monotonic()) > 0:
                time.sleep(min(1.0, left))
                traffic.check()
                self._sbpgmon.check_daemon()
                done = traffic.counts()
                live.update(
                    f"settled {done.settlements}, reports {done.reports}, deadlocks {done.deadlocks}"
                    f" | agent: reads {monitoring.count_snapshots()},"
                    f" deadlocks {monitoring.count_deadlocks()}"
                )

    def _show_comparison(self, monitoring: Monitoring, counts: Counts) -> None:
        self._screen.heading("Is it right? What the sessions counted, and what `monitoring` says")
        # A statement is counted at once, but found by its text only when that has been fetched.
        found: list[Comparison] = monitoring.compare(counts)
        until = time.monotonic() + _PATIENCE_SECONDS
        while not all(row.is_equal for row in found) and time.monotonic() < until:
            time.sleep(1)
            self._sbpgmon.check_daemon()
            found = monitoring.compare(counts)
        self._screen.table(
            ["", "counted", "monitored", ""],
            [
                [row.what, f"{row.counted:,}", f"{row.monitored:,}", "equal" if row.is_equal else "DIFFERENT"]
                for row in found
            ],
        )
        wrong = [row.what for row in found if not row.is_equal]
        if wrong:
            raise DemoError(f"The agent's numbers are wrong: {', '.join(wrong)}.", "This is a bug: please report it.")

    def _show_cost(self, monitoring: Monitoring) -> None:
        self._screen.heading("What did it cost the server, read every few seconds?")
        rows = []
        for role, task in ((_READER, "reads"), (_OWNER, "stores")):
            cost = monitoring.cost(role)
            per_second = cost.total_exec_time / cost.seconds if cost.seconds else 0.0
            rows.append(
                [
                    f"{role} ({task})",
                    f"{cost.calls:,}",
                    f"{cost.total_exec_time:,.0f} ms",
                    f"{per_second:.1f} ms",
                    f"{cost.share_ratio:.1%}",
                ]
            )
        self._screen.table(["", "statements", "time", "a second", "of all time"], rows)
        self._screen.say("  Shares are of the time of all statements, waits for locks included.")
        usage = self._sbpgmon.usage()
        if usage is not None:
            self._screen.say(
                f"  The agent itself: {usage.cpu_seconds:.1f} s of CPU,"
                f" {usage.resident_bytes / 1024 / 1024:.0f} MB of memory."
            )

    def _report(self, begun: datetime) -> None:
        """The dashboards of the whole run as one file, which outlives the demo."""
        self._sbpgmon_run("report", "--since", f"{begun:%Y-%m-%dT%H:%M:%S}", "-o", _short(self._workspace.report))

    def _name_report(self) -> None:
        self._screen.say("✓ What was seen of it, for any browser:", "green")
        self._screen.literal(_short(self._workspace.report))

    def _prove(self, before: str) -> None:
        self._screen.heading("Is it gone? The picture again, byte for byte")
        after = take_picture(self._dsn("postgres"), self._cluster.bin_dir)
        self._screen.table(
            ["", "bytes", "sha256"],
            [
                [name, f"{len(text.encode()):,}", hashlib.sha256(text.encode()).hexdigest()[:32]]
                for name, text in (("before init", before), ("after rollback", after))
            ],
        )
        if after != before:
            raise DemoError(f"The rollback left something:\n{show_difference(before, after)}")
        self._screen.say("✓ The same: nothing is left of sbpgmon but its roles.", "green")

    def _leave_running(self) -> None:
        """The agent and the server go on without us; so does traffic, as a program of its own."""
        with self._workspace.traffic_log.open("ab") as log, self._interruptions.hold():
            traffic = subprocess.Popen(
                [sys.executable, "-m", "sbpgmon.demo.traffic", self._dsn(_APP)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            self._workspace.note_process("traffic", traffic.pid)
            self._workspace.keep()
            self._cluster.release()
        screen = self._screen
        screen.heading("All of it goes on: the server, the traffic and the agent")
        for role, purpose in (
            ("postgres", "superuser"),
            (_GRAFANA, "reads the views of `monitoring`: for Grafana"),
            (_OWNER, "owns the schema `monitoring`"),
        ):
            screen.say(f"  {purpose}")
            screen.literal(self._dsn(role))
        screen.say("  psql, if there is none here:")
        screen.literal(_short(self._cluster.bin_dir / "psql"))
        screen.say("  sbpgmon on it (status, top, metrics list, rollback):")
        screen.literal(f"{_short(Path(sys.executable))} -m sbpgmon --config {_short(self._workspace.config)} status")
        screen.say("  The report that was made of it, for any browser:")
        screen.literal(_short(self._workspace.report))
        screen.say("  Stop and remove it all:")
        screen.literal(f"{_short(Path(sys.executable))} -m sbpgmon.demo --stop")

    def _wait_for_snapshots(self, monitoring: Monitoring, *, since: datetime | None) -> None:
        until = time.monotonic() + _PATIENCE_SECONDS
        while monitoring.count_snapshots(since=since) == 0:
            self._sbpgmon.check_daemon()
            if time.monotonic() > until:
                raise DemoError(
                    f"The agent has read nothing for {_PATIENCE_SECONDS:.0f} s:\n{self._sbpgmon.log_tail()}"
                )
            time.sleep(0.3)

    def _sbpgmon_run(self, *arguments: str) -> None:
        self._screen.command(f"sbpgmon {' '.join(arguments)}")
        self._sbpgmon.run(*arguments)

    def _dsn(self, role: str) -> str:
        return self._cluster.dsn(sportsbook.DATABASE, role)


def _short(path: Path) -> str:
    """The path as seen from here, when that is shorter."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
