"""The loop that wires the rooms together: what is due is read by one thread a target and written by one writer."""

from __future__ import annotations

import contextlib
import queue
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import FrameType

from sbpgmon import memory
from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.catalog.retention import check_retention
from sbpgmon.clock import Clock
from sbpgmon.collect.readers import Job, Readers
from sbpgmon.config import Settings
from sbpgmon.errors import ConfigError, LeaseTakenError, SbpgmonError, StoreError, StoreReadOnlyError, TargetError
from sbpgmon.intervals import Intervals
from sbpgmon.logs import LOGGER, Repeats, tell_findings
from sbpgmon.model import Status, TargetPoll
from sbpgmon.notices import Systemd
from sbpgmon.store.gate import FATAL, Gate
from sbpgmon.store.judging import Confirm
from sbpgmon.store.keeper import Keeper
from sbpgmon.store.spool import state_folder
from sbpgmon.tenancy import Probe

_IDLE_SECONDS = 0.25
_KEEP_ALIVE_SECONDS = 2
_MAX_THREADS = 64
_CRON_SECONDS = 60.0  # cron's own resolution: what it starts every minute has no gap of a minute


@dataclass
class Outcome:
    """What one pass did; `worst` is the error whose exit code counts."""

    targets: int = 0
    snapshots: int = 0
    rows: int = 0
    facts: int = 0
    spooled: int = 0
    worst: SbpgmonError | None = None

    def note(self, error: SbpgmonError) -> None:
        if self.worst is None or error.exit_code > self.worst.exit_code:
            self.worst = error


class Agent:
    """Polls the targets of `settings` and hands what it read to the store.

    Raises ConfigError when the settings or the state folder are not usable.
    """

    def __init__(self, settings: Settings) -> None:
        self._repeats = Repeats()
        self._load(settings)
        self._readers = Readers(settings, self._catalog)

    def _load(self, settings: Settings) -> None:
        catalog = load_catalog(settings.queries_dir, has_dashboards=False)
        check_retention(settings, catalog)
        gate = Gate(settings, catalog)
        for problem in catalog.problems:
            self._repeats.error("", problem.what, str(problem))
        for name in settings.metrics.keys() - catalog.metrics.keys():
            LOGGER.warning("[metrics.%s]: there is no metric of this name", name)
        for name in settings.checks.keys() - catalog.checks.keys():
            LOGGER.warning("[checks.%s]: there is no check of this name", name)
        self._settings, self._catalog, self._gate = settings, catalog, gate
        self._intervals = Intervals(settings, catalog, gate)
        self._keeper = Keeper(settings, catalog.metrics, gate.holder, self._repeats, self._planner)
        self._targets = {target.name: target for target in settings.targets}

    def _planner(self, target: str) -> AbstractContextManager[Confirm | None]:
        """Who is asked for the plans of a target's statements; nobody where there is no probe."""
        probe = self._settings.tenancy_of(target).probe
        return nullcontext(None) if probe.dsn is None else self._asked(target, probe)

    @contextlib.contextmanager
    def _asked(self, target: str, probe: Probe) -> Iterator[Confirm]:
        from sbpgmon.collect.confirmation import Planner  # it needs the judge's room, which a poll does not pay for

        with Planner(target, probe, self._settings.agent.connect_timeout) as planner:
            yield planner.confirm

    def collect(self, progress: Callable[[str], None] = lambda _: None) -> Outcome:
        """One pass over what is due, for cron.

        Raises SchemaGoneError, SchemaMismatchError, StoreRefusedError and LeaseTakenError; what else goes wrong
        is in the outcome, since the rest went on.
        """
        outcome = Outcome()
        with self._gate.spool.lock(), contextlib.ExitStack() as stack:
            stack.callback(self._close)
            self._open(outcome)
            if self._gate.held and len(self._gate.held) == len(self._targets):
                name, holder = next(iter(self._gate.held.items()))
                raise LeaseTakenError(
                    f"Another agent polls {name}: {holder}.",
                    "Wait for it to end, or stop it; its lease ends by itself after [agent] lease.",
                )
            jobs = [job for name in self._targets if (job := self._job(name, _CRON_SECONDS)) is not None]
            with self._pool(len(jobs)) as (pool, results):
                for job in jobs:
                    pool.submit(self._readers.poll, job, results, keep=False)
                for _ in jobs:
                    job = results.get()
                    progress(job.target.name)
                    self._hand_over(job, outcome)
            if self._gate.is_open and (error := self._keeper.once()) is not None:
                outcome.note(error)
        for problem in self._catalog.problems:
            outcome.note(problem)
        return outcome

    def run(self, reload: Callable[[], Settings]) -> None:
        """The daemon: until SIGTERM or SIGINT, which finish the polls in hand. SIGHUP calls `reload`.

        Raises SchemaGoneError and its kin, which end it; whatever else goes wrong is logged and tried again.
        """
        stopping, reloading = [False], [False]

        def stop(_signal: int, _frame: FrameType | None) -> None:
            stopping[0] = True

        def hang_up(_signal: int, _frame: FrameType | None) -> None:
            reloading[0] = True

        for number, handler in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, hang_up)):
            signal.signal(number, handler)
        memory.keep_small()
        systemd = Systemd()
        self._gate.on_progress = systemd.alive
        outcome = Outcome()
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._gate.spool.lock())
            stack.callback(self._close)
            self._open(outcome)
            if isinstance(outcome.worst, StoreReadOnlyError):
                # From the start it is a mistake; later it may pass.
                raise outcome.worst
            pool, results = stack.enter_context(self._pool(_MAX_THREADS))
            busy: set[str] = set()
            missed: set[str] = set()  # a tick came while they were busy

            def poll(name: str) -> None:
                if (job := self._job(name, self._settings.tick_seconds)) is not None:
                    busy.add(name)
                    pool.submit(self._readers.poll, job, results, keep=True)

            def tick() -> None:
                missed.update(busy)
                for name in self._targets:
                    if name not in busy:
                        poll(name)

            clock = self._clock(tick)
            systemd.send("READY=1")
            LOGGER.info("running: %d targets, %d metrics", len(self._targets), len(self._catalog.metrics))
            clock.tick_now()
            while busy or not stopping[0]:
                systemd.alive()
                if not stopping[0]:
                    clock.run_pending()
                if reloading[0] and not busy:
                    reloading[0] = False
                    self._reload(reload, outcome)
                    self._gate.on_progress = systemd.alive
                    clock = self._clock(tick)
                    clock.tick_now()
                with contextlib.suppress(queue.Empty):
                    idle = _IDLE_SECONDS if stopping[0] else min(_IDLE_SECONDS, clock.idle_seconds)
                    job = results.get(timeout=max(0.01, idle))
                    name = job.target.name
                    busy.discard(name)
                    self._hand_over(job, outcome)
                    del job  # its bytes
                    memory.give_back()
                    if name in missed:
                        missed.discard(name)
                        if not (stopping[0] or reloading[0]):
                            poll(name)
            systemd.send("STOPPING=1")
            LOGGER.info("stopped: %d snapshots were stored", outcome.snapshots)

    def _clock(self, tick: Callable[[], None]) -> Clock:
        clock = Clock(self._settings.tick_seconds, tick)
        clock.every(_KEEP_ALIVE_SECONDS, self._keep_alive)
        return clock

    def _reload(self, reload: Callable[[], Settings], outcome: Outcome) -> None:
        old, keeper = self._gate, self._keeper
        try:
            settings = reload()
            if state_folder(settings) != old.spool.folder:
                raise ConfigError("The state folder is another one.", "Restart the agent to change state_dir.")
            self._load(settings)
        except SbpgmonError as error:
            LOGGER.error("the configuration was not read again, the old one holds: %s", error)
            return
        old.release()
        old.close()
        keeper.close()
        # A target of the same name may be another database now.
        self._readers.close()
        self._readers = Readers(self._settings, self._catalog)
        self._open(outcome)
        LOGGER.info("the configuration was read again: %d targets", len(self._targets))

    def _open(self, outcome: Outcome) -> None:
        try:
            self._gate.open()
        except FATAL:
            raise
        except StoreError as error:
            self._repeats.error("", "store", f"{error} Readings go to the spool.")
            outcome.note(error)
        for problem in self._gate.problems:
            self._repeats.error("", problem.what, str(problem))
            outcome.note(problem)
        for name, holder in self._gate.held.items():
            LOGGER.warning("another agent polls this target: %s", holder, extra={"target": name})

    def _keep_alive(self) -> None:
        try:
            self._gate.keep_alive()
            self._keeper.poke()
        except FATAL:
            raise
        except StoreError as error:
            self._repeats.error("", "store", f"{error} Readings go to the spool.")

    def _job(self, name: str, least_seconds: float = 0.0) -> Job | None:
        """What is due on a target. Nothing can be expected oftener than every `least_seconds`."""
        if name in self._gate.held:
            return None
        due = self._intervals.due(name, least_seconds)
        task = self._intervals.task(name)
        if not due and task is None:
            return None
        texts = self._gate.wanted_texts(name) if any(d.metric.name == "stat_statements" for d in due) else []
        return Job(self._targets[name], due, texts, self._gate.identifier(name), task)

    @contextlib.contextmanager
    def _pool(self, jobs: int) -> Iterator[tuple[ThreadPoolExecutor, queue.Queue[Job]]]:
        with ThreadPoolExecutor(max_workers=max(1, min(_MAX_THREADS, jobs)), thread_name_prefix="target") as pool:
            yield pool, queue.Queue()

    def _hand_over(self, job: Job, outcome: Outcome) -> None:
        """Stores a poll, or spools it; logs what went wrong on the target, once."""
        assert job.poll is not None
        name = job.target.name
        outcome.targets += 1
        failed = (Status.ERROR, Status.UNREACHABLE)
        # What was read in part is good, and has an error as well.
        problems = {r.metric: r.error for r in job.poll.readings if r.error and r.status in (*failed, Status.OK)}
        error = job.error
        if error is not None:
            self._note_target(name, error, outcome)
        try:
            result = self._gate.write(job.poll)
        except FATAL:
            raise
        except StoreError as problem:
            self._repeats.error("", "store", f"{problem} Readings go to the spool.")
            outcome.note(problem)
            outcome.spooled += len(job.poll.readings)
        else:
            self._repeats.ok("", "store")
            self._keeper.note(job.poll)
            outcome.snapshots += result.snapshots
            outcome.rows += result.rows_read
            outcome.facts += result.facts
            problems |= dict(result.failures)
            if error is None and result.refusal is not None:
                error = result.refusal
                self._note_target(name, error, outcome)
            tell_findings(name, result.findings)
            for metric, note in result.notes:
                LOGGER.warning("%s", note, extra={"target": name, "metric": metric})
        if error is None:
            self._repeats.ok(name, "")
            self._log_readings(job.poll, problems, outcome)

    def _note_target(self, name: str, error: SbpgmonError, outcome: Outcome) -> None:
        self._repeats.error(name, "", str(error))
        outcome.note(error)

    def _log_readings(self, poll: TargetPoll, problems: dict[str, str], outcome: Outcome) -> None:
        if poll.error:
            self._repeats.error(poll.target, "texts", poll.error)
        for reading in poll.readings:
            problem = problems.get(reading.metric)
            if problem is None:
                self._repeats.ok(poll.target, reading.metric)
                continue
            self._repeats.error(poll.target, reading.metric, problem)
            outcome.note(TargetError(f"{reading.metric} on {poll.target}: {problem}"))

    def _close(self) -> None:
        self._keeper.close()
        self._gate.release()
        self._readers.close()
        self._gate.close()
