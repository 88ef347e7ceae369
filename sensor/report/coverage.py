"""How much was looked at: the account of every packet, of a run over captures or of the statistics among alerts.

It knows counts only. In a file of several runs the counts begin anew with each; they are added up.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from flows.batch import DST_HIGH, DST_LOW, SRC_HIGH, SRC_LOW
from sensor.alerts.sensor_records import StatsRecord
from sensor.metering.turns import Turn
from sensor.progress.progress import Progress
from sensor.run.run import Run

HOSTS_KEPT = 1_000_000
_ADDED = (
    "received", "metered", "filtered", "shed", "dropped", "flows", "evicted", "late", "clock_jumps", "tunnelled",
    "split_sessions", "lost_lines",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Coverage:
    """The account of what was looked at."""

    counts: Progress | None = None  # totals of all runs together, None where the input says nothing of packets
    start_ns: int = 0  # beginning of the traffic, 0 where unknown
    end_ns: int = 0  # its end, 0 where unknown
    bytes_: int | None = None  # bytes that the meter was given, None where unknown
    hosts: int | None = None  # addresses seen, None where unknown
    hosts_more: bool = False  # whether there were more than were counted
    runs: int = 1  # runs of sensors

    @property
    def unseen(self) -> int:
        """Packets that came and that nobody judged, but those a filter left out on purpose."""
        if self.counts is None:
            return 0
        return sum(self.counts.undecoded.values()) + self.counts.shed + self.counts.dropped


@dataclass(slots=True)
class StatsCounts:
    """Lines of statistics, added up over runs. A run ends where its sensor's count of packets falls back."""

    first_ns: int = 0  # wall clock of the first line, 0 before it
    last_ns: int = 0  # wall clock of the latest line
    runs: int = 0  # runs of sensors
    _ended: list[Progress] = field(default_factory=list)  # totals of runs that have ended
    _current: dict[str, Progress] = field(default_factory=dict)  # totals of each sensor's latest run, by its name
    _before: dict[str, Progress] = field(default_factory=dict)  # what was counted before, of runs that go on

    def pass_over(self, record: StatsRecord) -> None:
        """Take in a line of before the time that is asked for: what it counts is not counted again."""
        name = record.observer.name
        if name in self._before or len(self._before) < 1024:
            self._before[name] = record.progress

    def add(self, record: StatsRecord) -> None:
        """Take in a line."""
        self.first_ns = min(self.first_ns or record.time_ns, record.time_ns)
        self.last_ns = max(self.last_ns, record.time_ns)
        before = self._current.get(record.observer.name)
        if before is not None and record.progress.received < before.received:
            self._ended = [_sum([*self._ended, before])] if len(self._ended) > 64 else [*self._ended, before]
            self.runs += 1
        elif before is None:
            self.runs += 1
            self._begin(record)
        if before is not None or len(self._current) < 1024:
            self._current[record.observer.name] = record.progress

    def total(self) -> Progress | None:
        """The counts of all runs, None without any line."""
        every = [*self._ended, *self._current.values()]
        return _less(_sum(every), _sum(list(self._before.values()))) if every else None

    def _begin(self, record: StatsRecord) -> None:
        """Forget what was counted before by a run that has ended since."""
        counted = self._before.get(record.observer.name)
        if counted is not None and record.progress.received < counted.received:
            del self._before[record.observer.name]


def _less(total: Progress, before: Progress) -> Progress:
    """What came since."""
    return replace(
        total,
        undecoded=_rest(total.undecoded, before.undecoded),
        unjudged=_rest(total.unjudged, before.unjudged),
        stores_evicted=_rest(total.stores_evicted or {}, before.stores_evicted or {}) or None,
        context_evicted=None
        if total.context_evicted is None
        else max(0, total.context_evicted - (before.context_evicted or 0)),
        **{name: max(0, getattr(total, name) - getattr(before, name)) for name in _ADDED},
    )


def _rest(total: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {name: left for name, count in total.items() if (left := count - before.get(name, 0)) > 0}


def _sum(totals: list[Progress]) -> Progress:
    undecoded: Counter[str] = Counter()
    unjudged: Counter[str] = Counter()
    stores: Counter[str] = Counter()
    for each in totals:
        undecoded.update(each.undecoded)
        unjudged.update(each.unjudged)
        stores.update(each.stores_evicted or {})
    in_context = [each.context_evicted for each in totals if each.context_evicted is not None]
    return Progress(
        undecoded=dict(undecoded),
        unjudged=dict(unjudged),
        stores_evicted=dict(stores) or None,
        context_evicted=sum(in_context) if in_context else None,
        **{name: sum(getattr(each, name) for each in totals) for name in _ADDED},
    )


def coverage_of(progress: Progress, census: "HostCensus") -> Coverage:
    """Of a run over captures."""
    counts = replace(progress, undecoded={reason: count for reason, count in progress.undecoded.items() if count})
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
