"""The figures of a run: each with its goal, and whether that was met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import mean, median

from benchmarks.memory import Memory
from benchmarks.snapshots import Run, Sample
from benchmarks.storage import SNAPSHOTS_A_DAY

MB = 1e6


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `value` is what the goal is held against: a median, unless the name says more."""

    name: str
    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    goal: float | None = None  # at most

    @property
    def is_met(self) -> bool | None:
        return None if self.goal is None else self.value <= self.goal

    @property
    def verdict(self) -> str:
        """`met`, or by how much it was missed; empty without a goal."""
        if self.goal is None:
            return ""
        if self.value <= self.goal:
            return "met"
        over = f"by {self.value / self.goal - 1:.0%}" if self.goal else f"by {self.value:g}"
        return f"missed {over}"


def figures(run: Run, memory: Memory | None, *, with_goals: bool) -> list[Figure]:
    """Every line of the table, in its order. The goals are for 5,000 statements and 20 snapshots."""
    lines = [*_costs(run.samples), *_storage(run), *(_memory(memory) if memory else [])]
    return lines if with_goals else [replace(line, goal=None) for line in lines]


def _costs(samples: Sequence[Sample]) -> list[Figure]:
    def over(name: str, unit: str, of: Callable[[Sample], float], goal: float | None = None) -> Figure:
        values = [of(sample) for sample in samples]
        return Figure(name, unit, median(values), min(values), max(values), goal)

    return [
        over("server CPU, floor: bare COPY", "ms", lambda s: s.floor_seconds * 1e3),
        over("server CPU, target", "ms", lambda s: s.target_seconds * 1e3),
        over("server CPU, store", "ms", lambda s: s.store_seconds * 1e3),
        over("target / floor", "", lambda s: s.target_seconds / s.floor_seconds, 1.0),
        over("(target + store) / floor", "", lambda s: (s.target_seconds + s.store_seconds) / s.floor_seconds, 2.2),
        over("client CPU", "ms", lambda s: s.client_seconds * 1e3, 20.0),
        over("wall time", "ms", lambda s: s.wall_seconds * 1e3),
        over("  of it the poll", "ms", lambda s: s.poll_wall_seconds * 1e3),
        over("snapshot's size", "MB", lambda s: s.snapshot_bytes / MB),
    ]


def _storage(run: Run) -> list[Figure]:
    samples, stored = run.samples, run.storage
    count = len(samples)
    wal = [sample.wal_bytes / MB for sample in samples]
    a_day = stored.facts_bytes / count * SNAPSHOTS_A_DAY + stored.log_bytes_a_day
    facts = [float(sample.facts) for sample in samples]
    return [
        Figure("changed statements", "", median(facts), min(facts), max(facts)),
        Figure("counters that moved, mean", "", stored.counters_moved),
        Figure("stored per changed statement", "B", stored.facts_bytes / stored.facts, goal=110.0),
        Figure("  of it indexes and maps", "B", (stored.facts_bytes - stored.heap_bytes) / stored.facts),
        Figure("stored a day, a snapshot a minute", "MB", a_day / MB, goal=80.0),
        Figure("  of it the log of snapshots", "MB", stored.log_bytes_a_day / MB),
        Figure("not growing: series, last counters, texts", "MB", stored.fixed_bytes / MB),
        Figure("WAL a snapshot, mean", "MB", run.wal_bytes / count / MB, min(wal), max(wal), goal=0.2),
        Figure("  right after a checkpoint, mean", "MB", _mean([s for s in samples if s.after_checkpoint])),
        Figure("  else, mean", "MB", _mean([s for s in samples if not s.after_checkpoint])),
    ]


def _mean(samples: Sequence[Sample]) -> float:
    return mean([sample.wal_bytes / MB for sample in samples] or [0.0])


def _memory(memory: Memory) -> list[Figure]:
    marks = list(memory.by_polls)
    lines = [
        Figure(f"agent's memory, {memory.targets} targets, {mark} polls", "MB", memory.by_polls[mark] / MB)
        for mark in marks[:-1]
    ]
    last = memory.by_polls[marks[-1]]
    lines.append(Figure(f"agent's memory, {memory.targets} targets, {marks[-1]} polls", "MB", last / MB, goal=80.0))
    if len(marks) > 1:
        # Flat: what the allocator keeps from poll to poll moves by a few per cent, a leak does not come back.
        grown = last / memory.by_polls[marks[-2]]
        lines.append(Figure(f"  against {marks[-2]} polls", "", grown, goal=1.05))
    lines.append(Figure("  at its peak", "MB", memory.peak_bytes / MB))
    lines.append(Figure("pandas, alembic, sqlalchemy loaded", "", float(len(memory.loaded)), goal=0.0))
    return lines
