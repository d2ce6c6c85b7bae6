"""What is due on a target: by the grid of each metric, stretched while the agent weighs too much there."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import replace

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.checks import PROBE
from sbpgmon.collect.due import as_configured, due_checks, due_metrics, intervals_of, is_asked, slot_at
from sbpgmon.collect.guard import Guard, judge
from sbpgmon.collect.isolation import SWEEP_SECONDS, Task
from sbpgmon.config import Settings
from sbpgmon.logs import LOGGER
from sbpgmon.model import Due
from sbpgmon.store.findings import fingerprint_of, sweeps_of
from sbpgmon.store.gate import Gate
from sbpgmon.store.weight import last_words, note_words, read_weight
from sbpgmon.store.windows import counted_until

PROBE_SECONDS = 10.0  # of one round of the probe in a poll


class Intervals:
    """The metrics' intervals on each target. What the guard decides is an event in the store, and read from there:
    cron, the daemon and an agent that takes over hold to the same."""

    def __init__(self, settings: Settings, catalog: Catalog, gate: Gate) -> None:
        self._settings = settings
        self._catalog = catalog
        self._gate = gate
        self._guard = Guard()
        self._checks = as_configured(catalog, settings.checks)

    def due(self, target: str, least_seconds: float) -> list[Due]:
        """What is due on a target. Nothing can be expected oftener than every `least_seconds`."""
        own = intervals_of(self._catalog, self._settings.metrics)
        intervals = {metric: max(seconds, least_seconds) for metric, seconds in own.items()}
        self._weigh(target, intervals)
        factors = {
            metric: factor * math.ceil(intervals[metric] / own[metric])
            for metric, factor in self._guard.factors(target).items()
            if metric in own
        }
        slots = self._gate.last_slots(target)
        tenancy = self._settings.tenancy_of(target)
        due = [
            replace(item, interval_seconds=intervals[name] * self._guard.spanned(target, name))
            for item in due_metrics(self._catalog, self._settings.metrics, slots, time.time(), factors)
            if (name := item.metric.name) not in self._gate.unusable and is_asked(item.metric, tenancy)
        ]
        return [told for item in due if (told := self._with_windows(target, item)) is not None]

    def _with_windows(self, target: str, item: Due) -> Due | None:
        """The same with what is counted already, of a metric that is counted in windows. None while the store does
        not say so: the next window begins where the last one ended that it has."""
        if not item.metric.has_deltas:
            return item
        counted = self._gate.ask(lambda conn: counted_until(conn, target, item.metric.name))
        return None if counted is None else replace(item, counted=counted)

    def task(self, target: str) -> Task | None:
        """The checks of tenant isolation that are due on a target, with what the store knows of them."""
        known = self._gate.last_check_slots(target)
        tenancy = self._settings.tenancy_of(target)
        now = time.time()
        slots = due_checks(self._checks, known, now)
        data = {name for name in slots if self._checks[name].kind == "data"}
        sweeps = self._gate.ask(lambda conn: sweeps_of(conn, target)) if data else {}
        if sweeps is None:
            # The store is away: how far the rows are swept, and what was bad, is known there alone.
            slots = {name: slot for name, slot in slots.items() if name not in data}
        checks = {name: self._checks[name] for name in slots}
        turn = slot_at(now, tenancy.probe.interval)
        is_probe_due = tenancy.probe.dsn is not None and known.get(PROBE) != turn
        if is_probe_due:
            slots[PROBE] = turn
        if not slots:
            return None
        return Task(
            tenancy,
            checks,
            slots,
            sweeps=sweeps or {},
            fingerprint=self._gate.ask(lambda conn: fingerprint_of(conn, target)),
            sweep_seconds=SWEEP_SECONDS,
            probe_turn=turn if is_probe_due else None,
            probe_seconds=PROBE_SECONDS,
            connect_timeout_seconds=self._settings.agent.connect_timeout,
            enabled=frozenset(self._checks),
            has_statements="stat_statements" in intervals_of(self._catalog, self._settings.metrics),
            has_texts=self._settings.texts != "off",
        )

    def _weigh(self, target: str, intervals: Mapping[str, float]) -> None:
        """Looks at what the agent costs on a target, and stretches its intervals there, or lets them be again."""
        statements = self._catalog.metrics.get("stat_statements")
        if statements is None:
            return
        is_time = self._guard.is_time(target, time.time(), intervals)
        if not is_time and self._guard.is_restored(target):
            return
        said = self._gate.ask(lambda conn: last_words(conn, target))
        if said is None:
            return
        self._guard.restore(target, said)
        if not is_time:
            return
        seconds = self._guard.window_seconds(target, intervals)
        weight = self._gate.ask(lambda conn: read_weight(conn, target, statements.tier, seconds))
        factors, words = judge(weight, intervals, self._guard.factors(target), self._settings.agent.max_share_ratio)
        if words and self._gate.ask(lambda conn: note_words(conn, target, words)):
            self._guard.change(target, factors)
            LOGGER.log(logging.WARNING if factors else logging.INFO, "%s", words, extra={"target": target})
