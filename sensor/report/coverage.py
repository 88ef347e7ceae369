"""How much was looked at: the account of every packet, of a run over captures or of the statistics among alerts.

It knows counts only. In a file of several runs the counts begin anew with each; they are added up.
"""

from collections import Counter, OrderedDict
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
RUNS_KEPT = 1024
_Run = tuple[str, str | None]  # a sensor's name, and which run of it, None where its lines do not say
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


@dataclass(frozen=True, slots=True)
class _Counted:
    """What a run has counted."""

    before: Progress | None  # by the time from which it is asked for, None for nothing
    total: Progress

    @property
    def since(self) -> Progress:
        """The same since that time."""
        return self.total if self.before is None else _less(self.total, self.before)


@dataclass(slots=True)
class StatsCounts:
    """Lines of statistics, added up over runs, each of which they name; in older lines a run ends where counts fall."""

    first_ns: int = 0  # wall clock of the first line, 0 before it
    last_ns: int = 0  # wall clock of the latest line
    runs: int = 0  # runs of sensors
    _ended: Progress | None = None  # what runs have counted that are told of no more
    _current: OrderedDict[_Run, _Counted] = field(default_factory=OrderedDict)  # the latest to be told of at the end
    # Totals before the time that is asked for.
    _before: OrderedDict[_Run, Progress] = field(default_factory=OrderedDict)

    def pass_over(self, record: StatsRecord) -> None:
        """Take in a line of before the time that is asked for: what it counts is not counted again."""
        run = _run_of(record)
        self._before[run] = record.progress
        self._before.move_to_end(run)
        if len(self._before) > RUNS_KEPT:
            self._before.popitem(last=False)

    def add(self, record: StatsRecord) -> None:
        """Take in a line, which may come twice."""
        self.first_ns = min(self.first_ns or record.time_ns, record.time_ns)
        self.last_ns = max(self.last_ns, record.time_ns)
        run, total = _run_of(record), record.progress
        counted = self._current.pop(run, None)
        if counted is None:
            self.runs += 1
            before = self._before.pop(run, None)
            goes_on = before is not None and before.received <= total.received
            counted = _Counted(before if goes_on else None, total)
        elif total.received >= counted.total.received:
            counted = replace(counted, total=total)
        elif record.observer.run is None:
            self.runs += 1
            self._end(counted)
            counted = _Counted(None, total)
        self._current[run] = counted
        if len(self._current) > RUNS_KEPT:
            self._end(self._current.popitem(last=False)[1])

    def total(self) -> Progress | None:
        """The counts of all runs, None without any line."""
        every = [counted.since for counted in self._current.values()]
        return _sum(every if self._ended is None else [self._ended, *every]) if every else None

    def _end(self, counted: _Counted) -> None:
        self._ended = counted.since if self._ended is None else _sum([self._ended, counted.since])


def _run_of(record: StatsRecord) -> _Run:
    return record.observer.name, record.observer.run


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
