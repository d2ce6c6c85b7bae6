"""The real `sbpgmon`, as its users run it: a program with a configuration file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sbpgmon.demo.processes import end, is_alive
from sbpgmon.demo.workspace import DemoError, Workspace
from sbpgmon.errors import exit_codes
from sbpgmon.resources import resource_dir

# Of these a demo wants to see something within half a minute; the others change slowly.
_FAST = ("blocked_sessions", "connection_slots", "connections", "locks")
_SLOW = ("database_size",)


@dataclass(frozen=True)
class Usage:
    """What the agent's process has used so far."""

    cpu_seconds: float
    resident_bytes: int


def write_config(workspace: Workspace, *, target: str, reader_dsn: str, owner_dsn: str) -> None:
    """Writes `sbpgmon.toml` with short intervals."""
    lines = [
        "# The demo's configuration: intervals of seconds, to see something soon.",
        'state_dir = "state"',
        "",
        "[store]",
        f"dsn = {_quote(owner_dsn)}",
        'readers = ["grafana_reader"]',
        "",
        "[[targets]]",
        f"name = {_quote(target)}",
        f"dsn = {_quote(reader_dsn)}",
        "",
        "[environment]",
        'tick = "1s"',
        "",
        "[agent]",
        'texts_every = "5s"',
        "",
        "[tenancy]",
        "confirmed = true",
        'model = ["rls"]',
        'key = { columns = ["tenant_id"], tenants_table = "app.tenants", tenants_pk = "tenant_id" }',
        'pool_schemas = ["app"]',
        'context = { setting = "app.tenant_id", scope = "transaction" }',
        'roles = { app = ["sportsbook_app"] }',
    ]
    for check in sorted(path.stem for path in (resource_dir("queries") / "checks").glob("*.sql")):
        lines += ["", f"[checks.{check}]", 'interval = "3s"']
    for metric in _metric_names():
        interval = "2s" if metric in _FAST else "15s" if metric in _SLOW else "5s"
        lines += ["", f"[metrics.{metric}]", f'interval = "{interval}"']
    workspace.config.write_text("\n".join([*lines, ""]), encoding="utf-8")


class Sbpgmon:
    """Runs sbpgmon's commands, and the daemon beside them."""

    def __init__(self, workspace: Workspace, *, width: int) -> None:
        self._workspace = workspace
        self._program = [sys.executable, "-m", "sbpgmon", "--config", str(workspace.config)]
        # What the user has set for a real sbpgmon or PostgreSQL must not reach the demo's.
        self._env = {k: v for k, v in os.environ.items() if not k.startswith(("SBPGMON_", "PG"))}
        self._env["COLUMNS"] = str(width)
        self._daemon: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str) -> None:
        """Runs a command to its end; its output goes where ours goes. Raises DemoError when it fails."""
        sys.stdout.flush()
        # A session of its own: the terminal's Ctrl-C is for us, and we see to it that the command ends.
        process = subprocess.Popen(
            [*self._program, *arguments], env=self._env, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            process.wait()
        except BaseException:
            end(process.pid)
            process.wait()
            raise
        if process.returncode != 0:
            raise DemoError(f"`sbpgmon {' '.join(arguments)}` {_explain(process.returncode)}.")

    def start_daemon(self) -> int:
        """Starts `sbpgmon run`, which logs to a file of the workspace; returns its process id."""
        with self._workspace.agent_log.open("ab") as log:
            self._daemon = subprocess.Popen(
                [*self._program, "run"],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self._daemon.pid

    def check_daemon(self) -> None:
        """Raises DemoError, with the end of its log, when the daemon has ended."""
        if self._daemon is not None and self._daemon.poll() is not None:
            raise DemoError(f"`sbpgmon run` {_explain(self._daemon.returncode)}:\n{self.log_tail()}")

    def stop_daemon(self) -> None:
        """Tells the daemon to finish (SIGTERM). Raises DemoError when it does not end well."""
        daemon = self._daemon
        if daemon is None:
            return
        self.check_daemon()
        daemon.send_signal(signal.SIGTERM)
        try:
            code = daemon.wait(30)
        except subprocess.TimeoutExpired:
            raise DemoError("`sbpgmon run` did not end within 30 s of SIGTERM.") from None
        self._daemon = None
        if code != 0:
            raise DemoError(f"`sbpgmon run` {_explain(code)} on SIGTERM:\n{self.log_tail()}")

    def kill_daemon(self) -> None:
        """Makes sure that the daemon is gone."""
        daemon, self._daemon = self._daemon, None
        if daemon is not None:
            if daemon.poll() is None and is_alive(daemon.pid):
                end(daemon.pid, timeout_seconds=10)
            daemon.wait()

    def usage(self) -> Usage | None:
        """CPU and memory of the daemon so far; None where the system does not tell."""
        if self._daemon is None:
            return None
        try:
            folder = Path(f"/proc/{self._daemon.pid}")
            fields = (folder / "stat").read_text("utf-8").rpartition(")")[2].split()
            pages = int((folder / "statm").read_text("utf-8").split()[1])
        except OSError:
            return None
        ticks = int(fields[11]) + int(fields[12])
        return Usage(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE"))

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of the daemon's log."""
        try:
            log = self._workspace.agent_log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(log.splitlines()[-lines:])


def _metric_names() -> list[str]:
    return sorted({path.name.split(".")[0] for path in (resource_dir("queries") / "metrics").glob("*.sql")})


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _explain(code: int) -> str:
    meaning = exit_codes().get(code, "")
    return f"ended with exit code {code}" + (f" ({meaning})" if meaning else "")
