"""How much was looked at: the account of every packet, of a run over captures or of the statistics among alerts.

It knows counts only. In a file of several runs the counts begin anew with each; they are added up.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flows.batch import DST_HIGH, DST_LOW, SRC_HIGH, SRC_LOW
from sensor.metering.turns import Turn
from sensor.progress.progress import Progress
from sensor.report.records import Account, StatsRecord
from sensor.run.run import Run

HOSTS_KEPT = 1_000_000
_ADDED = ("received", "metered", "filtered", "shed", "dropped", "flows", "evicted", "late", "clock_jumps", "lost_lines")


@dataclass(frozen=True, slots=True)
class Coverage:
    """The account of what was looked at.

    counts: of all runs together, None where the input says nothing of packets. start_ns, end_ns: of the traffic, 0
    where unknown. bytes_: that the meter was given. hosts: addresses seen, hosts_more: there were more. runs: of
    sensors.
    """

    counts: Account | None = None
    start_ns: int = 0
    end_ns: int = 0
    bytes_: int | None = None
    hosts: int | None = None
    hosts_more: bool = False
    runs: int = 1

    @property
    def unseen(self) -> int:
        """Packets that came and that nobody judged, but those a filter left out on purpose."""
        if self.counts is None:
            return 0
        return sum(self.counts.undecoded.values()) + self.counts.shed + self.counts.dropped


@dataclass(slots=True)
class Accounts:
    """Lines of statistics, added up over runs. A run ends where its sensor's count of packets falls back."""

    first_ns: int = 0
    last_ns: int = 0
    _ended: list[Account] = field(default_factory=list)
    _current: dict[str, Account] = field(default_factory=dict)

    def take(self, record: StatsRecord) -> None:
        """Take in a line."""
        self.first_ns = min(self.first_ns or record.time_ns, record.time_ns)
        self.last_ns = max(self.last_ns, record.time_ns)
        before = self._current.get(record.observer.name)
        if before is not None and record.flowvigil.received < before.received:
            self._ended = [_sum([*self._ended, before])] if len(self._ended) > 64 else [*self._ended, before]
            self.runs += 1
        elif before is None:
            self.runs += 1
        if before is not None or len(self._current) < 1024:
            self._current[record.observer.name] = record.flowvigil

    runs: int = 0

    def total(self) -> Account | None:
        """The counts of all runs, None without any line."""
        every = [*self._ended, *self._current.values()]
        return _sum(every) if every else None


def _sum(accounts: list[Account]) -> Account:
    undecoded: Counter[str] = Counter()
    for account in accounts:
        undecoded.update(account.undecoded)
    added = {name: sum(getattr(account, name) for account in accounts) for name in _ADDED}
    return Account.model_construct(**added, undecoded=dict(undecoded))


def coverage_of(progress: Progress, census: "HostCensus") -> Coverage:
    """Of a run over captures."""
    counts = Account(
        received=progress.received,
        metered=progress.metered,
        filtered=progress.filtered,
        undecoded={reason: count for reason, count in progress.undecoded.items() if count},
        shed=progress.shed,
        dropped=progress.dropped,
        flows=progress.flows,
        evicted=progress.evicted,
        late=progress.late,
        clock_jumps=progress.clock_jumps,
    )
    start, end = progress.started_ns, progress.traffic_time_ns
    return Coverage(counts, start, end, progress.bytes, len(census.hosts), len(census.hosts) >= HOSTS_KEPT)


@dataclass(slots=True)
class HostCensus:
    """The addresses of a run's flows, HOSTS_KEPT at most: a hook (sensor.run.run.Hook)."""

    hosts: set[tuple[int, int]] = field(default_factory=set)

    def begin(self, run: Run) -> None:
        """Nothing yet."""

    def before(self, turn: Turn, _run: Run) -> None:
        """Count the hosts of a turn's records."""
        records = turn.records
        if len(records) and len(self.hosts) < HOSTS_KEPT:
            words: NDArray[np.int64] = records.identity
            both = np.concatenate((words[:, [SRC_HIGH, SRC_LOW]], words[:, [DST_HIGH, DST_LOW]]))
            self.hosts.update(map(tuple, np.unique(both, axis=0).tolist()))

    def after(self, turn: Turn, run: Run) -> None:
        """Nothing more."""

    def end(self, run: Run) -> None:
        """Nothing more."""
