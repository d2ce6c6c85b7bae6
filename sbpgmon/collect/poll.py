"""One poll of one target: probe, refuse, describe once, read each metric; never a word to the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sbpgmon.catalog.catalog import Catalog, is_for, pick_variant
from sbpgmon.catalog.tenancy import shipped_parts
from sbpgmon.checks import PROBE
from sbpgmon.collect.activity import tell
from sbpgmon.collect.binary import binary_copy, columns_of
from sbpgmon.collect.events import read_events
from sbpgmon.collect.isolation import Task, look
from sbpgmon.collect.tenancy import Known, know
from sbpgmon.collect.texts import read_texts
from sbpgmon.config import MetricSettings, Settings
from sbpgmon.errors import SbpgmonError, TargetError
from sbpgmon.findings import IsolationReading
from sbpgmon.model import Due, Metric, Reading, Server, StatementText, Status, TargetPoll, Variant
from sbpgmon.sources.probe import other_server, probe, refuse_unsafe
from sbpgmon.sources.reader import Description, describe, digest_of, read
from sbpgmon.sources.session import Session

SWITCH = "tenant_switch"  # the metric that the probe feeds


def poll_target(
    session: Session,
    due: Sequence[Due],
    settings: Settings,
    described: dict[str, Description],
    wanted_texts: Sequence[int],
    *,
    identifier: int | None = None,
    look_for_writes: bool = True,
    catalog: Catalog | None = None,
    task: Task | None = None,
) -> TargetPoll:
    """Reads what is due. One metric that fails does not stop the others; each leaves a reading, good or not.

    `described` maps metric -> what was held against its header before; it is added to. `identifier`: the server that
    the history is of; of another one nothing is read. `task`: the checks of `catalog` that are due.
    Raises RefusedError, UnsupportedError or TargetError when the target as a whole cannot be read.
    """
    name = session.target.name
    server = probe(session, look_for_writes=look_for_writes)
    refuse_unsafe(name, server, allow_superuser=settings.allow_superuser)
    if (other := other_server(name, server, identifier)) is not None:
        return TargetPoll(name, server, tuple(unread(item, Status.REFUSED, other.what) for item in due))
    readings = []
    tenancy = _Tenancy(session, server, settings, catalog)
    for item in due:
        if session.is_broken:
            readings.append(unread(item, Status.UNREACHABLE, "the connection was lost during the poll"))
            continue
        if session.is_late:
            readings.append(unread(item, Status.ERROR, f"not read: the deadline of target {name} was over"))
            continue
        if item.metric.has_deltas:
            readings.append(read_events(session, item, settings.tenancy_of(name).events))
        else:
            readings.append(_read(session, item, settings, server, described, tenancy))
    texts: list[StatementText] = []
    error, are_all = "", True
    is_wanted = (
        bool(wanted_texts) and not (session.is_broken or session.is_late) and "pg_stat_statements" in server.extensions
    )
    if is_wanted:
        try:
            texts, are_all = read_texts(session, server, wanted_texts)
        except SbpgmonError as problem:
            error = f"statement texts: {problem}"
    isolation = None
    if catalog is not None and task is not None and not (session.is_broken or session.is_late):
        try:
            isolation = look(session, server, catalog, task, known=tenancy.known)
        except SbpgmonError as problem:
            error = error or f"checks of tenant isolation: {problem}"
        else:
            readings += _switches(isolation, catalog, settings)
    return TargetPoll(name, server, tuple(readings), tuple(texts), is_wanted and are_all, error, isolation)


def unreachable(target: str, due: Sequence[Due], error: SbpgmonError) -> TargetPoll:
    """The poll of a target that could not be asked: a failed reading for each metric that was due."""
    readings = tuple(unread(item, Status.UNREACHABLE, error.what) for item in due)
    return TargetPoll(target, None, readings, error=str(error))


def unread(item: Due, status: Status, error: str) -> Reading:
    return Reading(
        metric=item.metric.name,
        slot=item.slot,
        target_time=None,
        agent_time=datetime.now(UTC),
        interval_seconds=item.interval_seconds,
        duration_seconds=0.0,
        status=status,
        error=error,
    )


def _switches(isolation: IsolationReading, catalog: Catalog, settings: Settings) -> list[Reading]:
    """What the probe measured, when it was due, as a reading of its metric."""
    metric, chosen = catalog.metrics.get(SWITCH), settings.metrics.get(SWITCH)
    if PROBE not in isolation.slots or metric is None or not (chosen is None or chosen.enabled):
        return []
    kinds = ("cold", "warm")
    data, rows = binary_copy(metric, [(kind, isolation.figures.get(f"switch_{kind}_seconds")) for kind in kinds])
    return [
        Reading(
            metric=SWITCH,
            slot=isolation.slots[PROBE],
            target_time=None,
            agent_time=isolation.time,
            interval_seconds=settings.tenancy_of(isolation.target).probe.interval,
            duration_seconds=0.0,
            status=Status.OK,
            rows=rows,
            data=data,
            columns=columns_of(metric),
        )
    ]


class _Tenancy:
    """How the target keeps its tenants apart, for metrics that ask: looked at once a poll, and only when one does."""

    def __init__(self, session: Session, server: Server, settings: Settings, catalog: Catalog | None) -> None:
        self._session, self._server, self._catalog = session, server, catalog
        self._declared = settings.tenancy_of(session.target.name)
        self.known: Known | None = None  # until a metric asks

    def told(self, metric: Metric, variant: Variant, timeout_seconds: float) -> Variant | None:
        """The variant below its parts; None where no tenancy is known. Raises TargetError."""
        if self.known is None:
            self.known = know(self._session, self._server, self._declared)
        if not self.known.models:
            return None
        parts = shipped_parts() if self._catalog is None else self._catalog.parts
        return tell(self._session, metric, variant, self.known, self._declared, parts, timeout_seconds)


def _read(
    session: Session,
    item: Due,
    settings: Settings,
    server: Server,
    described: dict[str, Description],
    tenancy: _Tenancy,
) -> Reading:
    metric = item.metric
    if not is_for(metric, server):
        return unread(item, Status.SKIPPED, f"only on a {metric.role}")
    variant, why_not = pick_variant(metric, server)
    if variant is None:
        return unread(item, Status.ERROR, why_not)
    chosen: Mapping[str, MetricSettings] = settings.metrics
    timeout = (chosen[metric.name].timeout if metric.name in chosen else None) or metric.timeout_seconds
    try:
        if metric.uses:
            variant = tenancy.told(metric, variant, timeout)
            if variant is None:
                return unread(item, Status.SKIPPED, "no tenancy is known")
        known = described.get(metric.name)
        if known is None or known.digest != digest_of(variant, server):
            known = described[metric.name] = describe(session, metric, variant, server)
        columns = known.columns
        agent_time = datetime.now(UTC)
        data, rows, target_time, seconds = read(
            session,
            metric,
            variant,
            server,
            columns,
            timeout_seconds=timeout,
            max_bytes=settings.agent.max_snapshot_bytes,
        )
    except SbpgmonError as error:
        status = Status.UNREACHABLE if session.is_broken and isinstance(error, TargetError) else Status.ERROR
        return unread(item, status, str(error))
    return Reading(
        metric=metric.name,
        slot=item.slot,
        target_time=target_time,
        agent_time=agent_time,
        interval_seconds=item.interval_seconds,
        duration_seconds=seconds,
        status=Status.OK,
        rows=rows,
        data=data,
        columns=columns,
        lacks=tuple(sorted(variant.lacks)),
    )
