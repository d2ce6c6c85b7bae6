"""Reads targets, each in a thread of its own: one that hangs holds up no other. Connections may be kept."""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass, replace

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.collect.isolation import Task
from sbpgmon.collect.poll import poll_target, unreachable
from sbpgmon.config import Settings, Target
from sbpgmon.errors import SbpgmonError, TargetError
from sbpgmon.logs import LOGGER
from sbpgmon.model import Due, TargetPoll
from sbpgmon.sources.probe import other_server
from sbpgmon.sources.reader import Description
from sbpgmon.sources.session import Session

_LOOK_AGAIN_SECONDS = 3600.0


@dataclass(frozen=True)
class Job:
    """One target's poll: what the thread gets, and gives back with the poll, and the error if there was one."""

    target: Target
    due: list[Due]
    texts: list[int]
    identifier: int | None = None  # of the server that the history is of, where it is known
    task: Task | None = None  # checks of tenant isolation that are due
    poll: TargetPoll | None = None
    error: SbpgmonError | None = None


class Readers:
    """The connections to the targets, and what is known of them. A target has one job at a time."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._sessions: dict[str, Session] = {}
        self._looked_at: dict[str, float] = {}
        self._described: dict[str, dict[str, Description]] = {}

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def poll(self, job: Job, results: queue.Queue[Job], *, keep: bool) -> None:
        """Reads one target and puts the job back, whatever happens; `keep` leaves the connection open."""
        name = job.target.name
        try:
            poll = self._read(job, keep=keep)
            results.put(replace(job, poll=poll, error=other_server(name, poll.server, job.identifier)))
        except SbpgmonError as error:
            results.put(replace(job, poll=unreachable(name, job.due, error), error=error))
        except Exception as error:
            LOGGER.exception("a bug in the poll", extra={"target": name})
            bug = SbpgmonError(f"A bug in the poll of {name}: {error!r}.", "Please report it.")
            results.put(replace(job, poll=unreachable(name, job.due, bug), error=bug))

    def _read(self, job: Job, *, keep: bool) -> TargetPoll:
        kept = self._sessions.pop(job.target.name, None)
        if kept is not None and not kept.is_broken:
            try:
                return self._read_through(kept, job, keep=keep)
            except TargetError:
                # A connection that was kept may have been closed from the other side since: that is no outage.
                if not kept.is_broken:
                    raise
        return self._read_through(Session(job.target, self._settings.agent.connect_timeout), job, keep=keep)

    def _read_through(self, session: Session, job: Job, *, keep: bool) -> TargetPoll:
        name = job.target.name
        # Looking at the privileges on every table is dear where there are thousands, and what a query returns
        # changes seldom behind it.
        looked_at = self._looked_at.get(name)
        look = looked_at is None or time.monotonic() - looked_at >= _LOOK_AGAIN_SECONDS
        if look:
            self._described[name] = {}
        try:
            with session.deadline(self._settings.agent.deadline):
                poll = poll_target(
                    session,
                    job.due,
                    self._settings,
                    self._described[name],
                    job.texts,
                    identifier=job.identifier,
                    look_for_writes=look,
                    catalog=self._catalog,
                    task=job.task,
                )
            if look:
                self._looked_at[name] = time.monotonic()
            if keep and not session.is_broken:
                self._sessions[name] = session
            return poll
        finally:
            if self._sessions.get(name) is not session:
                session.close()
