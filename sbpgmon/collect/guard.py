"""The guard: when the agent weighs too much on a target, the dearest metrics are read less often, until it is over.

What is too much: more than `max_share_ratio` of the time of all statements, or of one core's time where the server is
less busy than that. On an idle server our share of nearly nothing is large, and harmless. See docs/adr/0015.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sbpgmon.model import Weight

MAX_FACTOR = 16
LEAST_SECONDS = 300.0  # watched, before anything is done: what the agent's start costs tells nothing
# An interval is shortened again when the limit would hold twice over.
_SLACK = 0.5
_WINDOW_SECONDS = 600.0
LOOKS = 2  # in a window: a look costs the store some 20 ms
_START_SECONDS = 60.0  # what a process that has just begun answers for: cron begins one every minute
_FACTOR = re.compile(r"\b([a-z][a-z0-9_]*) x(2|4|8|16)\b")


def costs_of(weight: Weight, intervals: Mapping[str, float]) -> dict[str, float]:
    """Metric -> what it costs at its own interval [ms a minute]; metrics that were not read are left out.

    What cannot be told apart is shared out: what comes with every reading (`begin`, `probe`, …) by the number of
    readings, what the store writes on the same server by their cost. Where no statement bears a name (texts are off),
    all is shared out by the time that the agent waited for the readings.
    """
    readings = {name: value for name, value in weight.readings.items() if name in intervals and value[0] > 0}
    calls = sum(count for count, _ in readings.values())
    if not readings:
        readings = {name: value for name, value in weight.waited.items() if name in intervals and value[0] > 0}
        waited = sum(ms for _, ms in readings.values())
        total = weight.own_ms
        each = {name: total * ms / waited / count for name, (count, ms) in readings.items()} if waited else {}
        return {name: ms * 60 / intervals[name] for name, ms in each.items()}
    named = sum(ms for _, ms in readings.values())
    overhead = max(0.0, weight.own_ms - weight.store_ms - named) / calls
    follow = weight.own_ms / (weight.own_ms - weight.store_ms) if weight.own_ms > weight.store_ms else 1.0
    return {name: (ms / count + overhead) * follow * 60 / intervals[name] for name, (count, ms) in readings.items()}


def limit_of(weight: Weight, max_share_ratio: float) -> float:
    """How much the agent may cost [ms a minute]."""
    busy_ms = max(weight.all_ms, weight.seconds * 1000)
    return max_share_ratio * busy_ms * 60 / weight.seconds


def plan(costs: Mapping[str, float], limit: float) -> dict[str, int]:
    """The factors of the intervals with which the limit holds: the dearest is doubled until it does, or none is left.

    A lower limit never gives a lower factor.
    """
    factors = dict.fromkeys(costs, 1)
    while sum(cost / factors[name] for name, cost in costs.items()) > limit:
        left = [name for name, factor in factors.items() if factor < MAX_FACTOR]
        if not left:
            break
        factors[max(left, key=lambda name: (costs[name] / factors[name], name))] *= 2
    return factors


def decide(costs: Mapping[str, float], limit: float, factors: Mapping[str, int]) -> dict[str, int]:
    """The new factors, without those that are 1.

    As little as possible is changed: a factor rises to what the limit needs, and falls to what half of the limit
    needs; in between it stays. So a cost that goes up and down by less than half changes nothing. A metric that was
    not read in the window keeps its factor.
    """
    needed, enough = plan(costs, limit), plan(costs, limit * _SLACK)
    new = dict(factors)
    for name in costs:
        new[name] = min(max(factors.get(name, 1), needed[name]), enough[name])
    return {name: factor for name, factor in new.items() if factor > 1}


def render(factors: Mapping[str, int]) -> str:
    """`stat_statements x4, locks x2`, the most stretched first."""
    return ", ".join(f"{name} x{factor}" for name, factor in sorted(factors.items(), key=lambda pair: (-pair[1], pair)))


def parse(detail: str) -> dict[str, int]:
    """The factors out of an event's words; what cannot be one is passed over."""
    return {name: int(factor) for name, factor in _FACTOR.findall(detail.partition(":")[0])}


def judge(
    weight: Weight | None, intervals: Mapping[str, float], factors: Mapping[str, int], max_share_ratio: float
) -> tuple[dict[str, int], str]:
    """The new factors, and what is to be said of them; '' when nothing changes, or too little is known."""
    if weight is None or weight.seconds < LEAST_SECONDS:
        return dict(factors), ""
    new = decide(costs_of(weight, intervals), limit_of(weight, max_share_ratio), factors)
    if new == factors:
        return new, ""
    core_ms = weight.seconds * 1000
    busy = "the time of all statements" if weight.all_ms > core_ms else "one core's time"
    cause = (
        f"the agent's statements took {weight.own_ms * 60 / weight.seconds:,.0f} ms a minute, "
        f"{weight.own_ms / max(weight.all_ms, core_ms):.2%} of {busy}; the limit is {max_share_ratio:.2%}"
    )
    return new, f"intervals are stretched, {render(new)}: {cause}" if new else f"intervals are back to normal: {cause}"


@dataclass(slots=True)
class _Target:
    factors: dict[str, int] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)  # higher ones, of metrics that were not due since
    looked: int | None = None  # slot of the last look
    is_restored: bool = False


class Guard:
    """The factors of each target's intervals, and when to look at them again. The clock is the caller's."""

    def __init__(self) -> None:
        self._targets: dict[str, _Target] = {}

    def _of(self, target: str) -> _Target:
        return self._targets.setdefault(target, _Target())

    def factors(self, target: str) -> dict[str, int]:
        """Metric -> factor of its interval, where that is more than 1."""
        return dict(self._of(target).factors)

    def is_restored(self, target: str) -> bool:
        return self._of(target).is_restored

    def restore(self, target: str, words: str) -> None:
        """Takes up what the guard last said of a target; '' when it never did."""
        known = self._of(target)
        known.factors, known.is_restored = parse(words), True

    def change(self, target: str, factors: Mapping[str, int]) -> None:
        """Puts new factors in force."""
        known = self._of(target)
        known.before |= {name: old for name, old in known.factors.items() if old > factors.get(name, 1)}
        known.factors = dict(factors)

    def spanned(self, target: str, metric: str) -> int:
        """How many intervals the reading that is due may span: after a change once more the old factor."""
        known = self._of(target)
        return max(known.factors.get(metric, 1), known.before.pop(metric, 1))

    def window_seconds(self, target: str, intervals: Mapping[str, float]) -> float:
        """How far back to look: what is stretched must have been read, and what tells the cost."""
        factors = self.factors(target)
        names = {"stat_statements", *factors} & intervals.keys()
        return max([_WINDOW_SECONDS, *(2.5 * intervals[name] * factors.get(name, 1) for name in names)])

    def is_time(self, target: str, epoch_seconds: float, intervals: Mapping[str, float]) -> bool:
        """Whether to look at a target, a few times in a window: on a grid, so that cron looks no oftener."""
        known = self._of(target)
        step = self.window_seconds(target, intervals) / LOOKS
        before = int((epoch_seconds - _START_SECONDS) // step) if known.looked is None else known.looked
        known.looked = int(epoch_seconds // step)
        return known.looked != before
