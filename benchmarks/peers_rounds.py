"""One server, one workload, and every peer's snapshot of it in turn, round after round."""

from __future__ import annotations

import contextlib
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import mean, median

from benchmarks.accounting import cpu_seconds
from benchmarks.peers_cost import Cost
from benchmarks.peers_debian import EXPORTER, POWA, PROMETHEUS, SERVER, Programs
from benchmarks.peers_exporter import Blocks, Exporter
from benchmarks.peers_powa import Powa
from benchmarks.peers_prometheus import scrape_seconds
from benchmarks.servers import READER, TARGET_DATABASE, Servers
from benchmarks.snapshots import (
    CHECKPOINT_EVERY,
    SHARE,
    STORE_DATABASE,
    Snapshots,
    expect_rows,
    read_floor,
    wal_position,
)
from benchmarks.storage import SNAPSHOTS_A_DAY, measure_storage
from benchmarks.workload import run_some
from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.config import load

WARM_UP = 3
_KEPT = 3  # scrapes that Prometheus takes in, in turn
_SCRAPES = 6
FLOOR, OURS, POWA_NAME = "floor: bare COPY", "sbpgmon", "PoWA"
EXPORTER_ALL, EXPORTER_DEFAULT = "postgres exporter, all statements", "postgres exporter, as it comes"


@dataclass(slots=True)
class Result:
    """What was measured of one peer; `why_not` says why it was not."""

    name: str
    keeps_all: bool = False  # every statement, at every snapshot
    why_not: str = ""
    version: str = ""
    costs: list[Cost] = field(default_factory=list)
    bytes_a_day: float | None = None
    is_in_postgresql: bool = True  # where it stores
    remark: str = ""

    def median_ms(self, of: Callable[[Cost], float]) -> float:
        return median(of(cost) for cost in self.costs) * 1e3

    @property
    def server_ms(self) -> float:
        """Server CPU a snapshot, the mean: what is done every so often counts in full."""
        return mean(cost.server_seconds for cost in self.costs) * 1e3

    @property
    def target_ms(self) -> float:
        """The target's part of it."""
        return mean(cost.target_seconds for cost in self.costs) * 1e3

    @property
    def wal_mb(self) -> float:
        return mean(cost.wal_bytes for cost in self.costs) / 1e6


@dataclass(frozen=True, slots=True)
class Peers:
    """All results of a run; the floor is the first."""

    results: list[Result]
    changed: int  # statements that ran between two snapshots

    @property
    def floor(self) -> Result:
        return self.results[0]

    def __getitem__(self, name: str) -> Result:
        return next(result for result in self.results if result.name == name)


def measure_peers(servers: Servers, programs: Programs, rounds: int, advance: Callable[[], None]) -> Peers:
    """Runs `rounds` rounds: a tenth of the statements, then each peer's snapshot, each time another one first.

    A CHECKPOINT of both servers comes before every fifth round. The floor is read before and after each round.
    """
    results = Peers(
        [
            Result(FLOOR, version=servers.target.version),
            Result(OURS, keeps_all=True),
            Result(POWA_NAME, keeps_all=True, why_not=programs.why_not(SERVER, POWA)),
            Result(EXPORTER_ALL, keeps_all=True, why_not=programs.why_not(EXPORTER), is_in_postgresql=False),
            Result(EXPORTER_DEFAULT, why_not=programs.why_not(EXPORTER), is_in_postgresql=False),
        ],
        round(len(servers.statements) * SHARE),
    )
    dice = random.Random(5)
    with contextlib.ExitStack() as stack:
        ours = _Ours(servers, stack)
        takers: dict[str, Callable[[], Cost]] = {OURS: ours.snapshot}
        powa = None
        if not results[POWA_NAME].why_not:
            powa = stack.enter_context(contextlib.closing(Powa(servers, rounds)))
            results[POWA_NAME].version = powa.version
            takers[POWA_NAME] = powa.snapshot
        blocks: Blocks | None = None
        if not results[EXPORTER_ALL].why_not:
            path = programs.program(EXPORTER)
            every = stack.enter_context(contextlib.closing(Exporter(path, servers, programs.exporter_example)))
            plain = stack.enter_context(contextlib.closing(Exporter(path, servers)))
            if not programs.why_not(PROMETHEUS):
                blocks = Blocks(programs.program(PROMETHEUS), servers.folder, rounds)
            scraped: deque[bytes] = deque(maxlen=_KEPT)

            def take_all() -> Cost:
                cost, body = every.snapshot()
                if body.count(b"pg_stat_statements_calls{") < len(servers.statements):
                    raise RuntimeError(f"the exporter left statements out:\n{every.log_text()[-2000:]}")
                scraped.append(body)
                return cost

            takers[EXPORTER_ALL] = take_all
            takers[EXPORTER_DEFAULT] = lambda: plain.snapshot()[0]
        work = stack.enter_context(servers.connect(servers.target, TARGET_DATABASE))
        floor = stack.enter_context(servers.connect(servers.target, TARGET_DATABASE))
        names = list(takers)
        for number in range(-WARM_UP, rounds):
            run_some(work, servers.statements, SHARE, dice)
            if number == 0:
                ours.begin()
                if powa:
                    powa.begin()
            if number % CHECKPOINT_EVERY == 0:
                floor.execute(b"CHECKPOINT")
                ours.store.execute(b"CHECKPOINT")
            read_floor(floor)
            before = read_floor(floor)
            turn = number % len(names)
            taken = {name: takers[name]() for name in names[turn:] + names[:turn]}
            after = read_floor(floor)
            if number >= 0:
                results.floor.costs.append(Cost(target_seconds=(before + after) / 2))
                for name, cost in taken.items():
                    results[name].costs.append(cost)
                if blocks:
                    blocks.add(scraped[-1])
            advance()
        results[OURS].bytes_a_day = ours.bytes_a_day(rounds)
        if powa:
            results[POWA_NAME].bytes_a_day = powa.stored_bytes() / rounds * SNAPSHOTS_A_DAY
        if blocks:
            seconds = scrape_seconds(programs.prometheus, servers.folder, scraped, _SCRAPES)
            results[EXPORTER_ALL].costs = [replace(c, store_seconds=seconds) for c in results[EXPORTER_ALL].costs]
            chunks, total = blocks.write()
            results[EXPORTER_ALL].bytes_a_day = chunks / rounds * SNAPSHOTS_A_DAY
            results[EXPORTER_ALL].remark = f"{total / chunks:.2f} times that with the index of two-hour blocks"
        elif not results[EXPORTER_ALL].why_not:
            results[EXPORTER_ALL].remark = f"the store is unknown: {programs.why_not(PROMETHEUS)}"
    return results


class _Ours:
    """sbpgmon's own path, its store on the second server."""

    def __init__(self, servers: Servers, stack: contextlib.ExitStack) -> None:
        dsn = servers.create_store(STORE_DATABASE, load_catalog())
        settings = load(servers.write_config("peers", dsn, {"bench": servers.target.dsn(TARGET_DATABASE, READER)}))
        self._snapshots = stack.enter_context(contextlib.closing(Snapshots(servers, settings)))
        self.store = stack.enter_context(servers.connect(servers.store, STORE_DATABASE))
        self._count = len(servers.statements)
        # Texts come in batches, each once in a statement's life; they are not what a snapshot costs.
        warm = 0
        while warm < WARM_UP:
            poll = self._snapshots.poll()
            expect_rows(self._snapshots.write(poll), self._count)
            warm = 1 if poll.texts else warm + 1
        self._before = measure_storage(self.store)

    def begin(self) -> None:
        self._before = measure_storage(self.store)

    def snapshot(self) -> Cost:
        path = self._snapshots
        wal, target, store = wal_position(self.store), cpu_seconds(path.target_pid), cpu_seconds(path.store_pid)
        client = time.process_time()
        poll = path.poll()
        result = path.write(poll)
        client = time.process_time() - client
        expect_rows(result, self._count)
        return Cost(
            cpu_seconds(path.target_pid) - target,
            cpu_seconds(path.store_pid) - store,
            client,
            wal_position(self.store) - wal,
        )

    def bytes_a_day(self, rounds: int) -> float:
        stored = measure_storage(self.store) - self._before
        return stored.facts_bytes / rounds * SNAPSHOTS_A_DAY + stored.log_bytes_a_day
