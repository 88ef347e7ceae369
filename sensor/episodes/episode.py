"""One episode: the flows of one claim, counted; it decides nothing and writes nothing.

Of a host that a storm's alert stands for (sensor.episodes.storms) less is known: what it takes to count it once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    END_SHIFT_NS,
    IP_VERSION,
    NEW_PACKETS,
    PROTOCOL,
    SRC_HIGH,
    SRC_LOW,
    START_NS,
    WITH_PORTS,
)
from sensor.alerts.seen_names import FlowNames
from sensor.alerts.spread import Spread
from sensor.alerts.techniques import Technique
from sensor.episodes.distinct import Distinct, DistinctBudget, RunningFlows
from sensor.episodes.shapes import UNSHAPED_TARGETS

_ADDRESS = (1 << 128) - 1


class FlaggedFlow(NamedTuple):
    """A flow that a lane flagged, as plain numbers, and where its columns are."""

    identity: list[int]  # words of FlowBatch.identity
    row: int  # in the batch whose values and scores are at hand
    label: int  # index of the label, -1 where the known lane was silent
    strength: float  # smaller is stronger; below 1 where the known lane flagged it
    failed: bool  # whether no data was exchanged
    p_known: float  # p-value in the known lane
    p_novel: float  # p-value in the novel lane

    @property
    def target(self) -> int:
        """Destination address as one number."""
        return self.identity[DST_HIGH] << 64 | (self.identity[DST_LOW] & 0xFFFFFFFFFFFFFFFF)

    @property
    def source(self) -> int:
        """Source address as one number."""
        return self.identity[SRC_HIGH] << 64 | (self.identity[SRC_LOW] & 0xFFFFFFFFFFFFFFFF)


@dataclass(slots=True)
class Exemplar:
    """The flow of an episode that speaks strongest: what an alert shows."""

    flow: FlaggedFlow
    values: NDArray[np.float64]  # (len(COLUMNS),) a copy of its columns
    judged: NDArray[np.float64]  # (c,) the row that the model saw of it
    scores: dict[str, float]  # of each detector, by name
    names: Callable[[], FlowNames]  # tells what traffic said of it by then; shown only
    top_columns: Sequence[int] | None = None  # columns that moved its score, strongest first; None: nobody has asked


class BufferedFlow(NamedTuple):
    """A flagged flow and a copy of its columns, for when its episode opens."""

    flow: FlaggedFlow
    values: NDArray[np.float64]


class Episode:
    """Counts over the flows of one kind (sensor.episodes.shapes) about one subject; of a storm, over many."""

    __slots__ = (
        *("alerts", "alerts_at_line", "closed", "end_ns", "exemplar", "failed", "flows", "flows_at_line"),
        *("asked_ns", "extent_asked", "muted"),
        *(
            "attack",
            "budget",
            "due_ns",
            "id",
            "kind",
            "known",
            "labels",
            "level",
            "load_before",
            "last_ns",
            "linked",
            "novel",
            "opened",
        ),
        *(
            "order",
            "packets",
            "peak",
            "ports",
            "ports_more",
            "running",
            "shift_ns",
            "origins",
            "origins_more",
            "start_ns",
        ),
        *(
            "subject",
            "supported",
            "targets",
            "targets_more",
            "technique",
            "habit",
            "verdict_at_line",
        ),
    )

    def __init__(
        self,
        kind: int,
        subject: tuple[int, ...],
        technique: Technique | None,
        first: FlaggedFlow,
        order: int,
        budget: DistinctBudget,
    ) -> None:
        """budget: of distinct values, shared with other episodes."""
        self.budget = budget
        self.kind = kind
        self.subject = subject
        self.technique = technique
        self.order = order
        self.exemplar: Exemplar | None = None
        self.id = ""
        self.opened = self.closed = False
        self.due_ns = 0  # when it is looked at whether it is over
        self.attack = False  # the verdict
        self.known = self.novel = False  # lanes that speak for it
        self.supported = 0  # reports that the known lane took for what the shape says
        self.level = 0.0  # the highest that its claim reached, whether it was told or not
        self.peak = 0.0  # largest evidence of either lane, natural logarithm
        self.load_before: float | None = None  # packets a second of the target in the ten minutes before, where known
        self.flows = self.packets = self.failed = 0
        self.start_ns, self.end_ns = first.identity[START_NS], first.identity[END_NS]
        self.last_ns = 0  # traffic time of the newest flagged flow
        self.shift_ns = 0  # what that time is ahead of the stamps of that flow's packets
        self.targets: Distinct = {}
        self.ports: Distinct = {}
        self.origins: Distinct = {}
        self.targets_more = self.ports_more = self.origins_more = False
        self.labels: dict[int, int] = {}
        self.habit: float | None = None  # share of the site's learning period in which it was there, None for no habit
        self.muted = False  # whether a note of the site mutes it, by what is known
        self.asked_ns = 0  # traffic time when it was asked last whether that, or a habit, still holds
        self.extent_asked: tuple[int, ...] = ()
        self.flows_at_line = 0
        self.verdict_at_line = False
        self.alerts = self.alerts_at_line = 0  # of single hosts that a storm alert stands for
        self.linked = 0  # flows given with the id of its alert
        self.running = RunningFlows(budget)

    def add(self, flow: FlaggedFlow, clock_ns: int, fresh: bool | None = None) -> bool:
        """Count one report of a flagged flow; returns whether it is the first one counted of this flow.

        A flow reported again adds its new packets only. fresh: what another episode found of it, None to find out here.
        """
        identity = flow.identity
        self.last_ns = clock_ns
        self.shift_ns = identity[END_SHIFT_NS]
        self.packets += identity[NEW_PACKETS]
        self.start_ns = min(self.start_ns, identity[START_NS])
        self.end_ns = max(self.end_ns, identity[END_NS])
        if fresh is None:
            fresh = not self.running.seen_before(identity)
        if fresh:
            self.flows += 1
            self.failed += flow.failed
            self._spread(flow)
        if flow.label >= 0:
            self.labels[flow.label] = self.labels.get(flow.label, 0) + 1
        return fresh

    def absorb(self, other: "Episode") -> None:
        """Take over the counts of another episode of the same source."""
        self.flows += other.flows
        self.packets += other.packets
        self.failed += other.failed
        self.start_ns, self.end_ns = min(self.start_ns, other.start_ns), max(self.end_ns, other.end_ns)
        self.last_ns = max(self.last_ns, other.last_ns)
        self.weigh(other)
        self.targets_more |= self._take_over(self.targets, other.targets) or other.targets_more
        self.ports_more |= self._take_over(self.ports, other.ports) or other.ports_more
        self.origins_more |= self._take_over(self.origins, other.origins) or other.origins_more
        self.supported += other.supported
        for label, count in other.labels.items():
            self.labels[label] = self.labels.get(label, 0) + count
        if other.exemplar and (not self.exemplar or other.exemplar.flow.strength < self.exemplar.flow.strength):
            self.exemplar = other.exemplar

    def weigh(self, other: "Episode | MergedHost") -> None:
        """Take over the weight of another episode's evidence."""
        self.attack = self.attack or other.attack
        self.known, self.novel = self.known or other.known, self.novel or other.novel
        self.peak = max(self.peak, other.peak)

    def end(self) -> None:
        """Mark it closed and give back what grew with it."""
        self.closed = True
        self.budget.free += sum(map(len, (self.targets, self.ports, self.origins)))
        self.targets, self.ports, self.origins = {}, {}, {}
        self.running.clear()

    def fold(self, storm: "Episode") -> "MergedHost":
        """What is left of it when a storm that has absorbed it stands for it; it has then ended itself."""
        host = MergedHost(self, storm)
        self.running = RunningFlows(self.budget)  # the host's now
        self.end()
        return host

    def spread(self) -> Spread:
        """The counts as they stand."""
        identity = self.exemplar.flow.identity if self.exemplar else [0] * (PROTOCOL + 1)
        return Spread(
            flows=self.flows,
            packets=self.packets,
            failed=self.failed,
            targets=len(self.targets),
            targets_more=self.targets_more,
            ports=len(self.ports),
            ports_more=self.ports_more,
            origins=len(self.origins),
            origins_more=self.origins_more,
            span_ns=self.end_ns - self.start_ns,
            protocol=identity[PROTOCOL],
            port=identity[DST_PORT],
            load_before=self.load_before,
        )

    @property
    def extent(self) -> tuple[int, ...]:
        """How many targets, ports and sources, and the protocol shown: by what a note may cease to hold."""
        protocol = self.exemplar.flow.identity[PROTOCOL] if self.exemplar else 0
        return len(self.targets), len(self.ports), len(self.origins), protocol

    @property
    def one_port(self) -> bool:
        """Whether its flows went to one port, or to none."""
        return len(self.ports) <= 1 and not self.ports_more

    def first_targets(self, most: int) -> list[str]:
        """The first of its distinct destination addresses, as text."""
        if self.exemplar is None:
            return []
        all_ipv6 = self.exemplar.flow.identity[IP_VERSION] == 6 and not self.alerts  # a storm may have both versions
        addresses = (target & _ADDRESS for target in islice(self.targets, most))
        return [str(IPv6Address(a) if all_ipv6 or a >> 32 else IPv4Address(a)) for a in addresses]

    @property
    def few_targets(self) -> bool:
        """Whether it has no more targets than what the known lane alone flags may have to be worth a word."""
        return len(self.targets) <= UNSHAPED_TARGETS and not self.targets_more

    def label(self) -> int:
        """The label most often given, the smallest index of equals; -1 without any."""
        return max(self.labels, key=lambda label: (self.labels[label], -label), default=-1)

    def _spread(self, flow: FlaggedFlow) -> None:
        """Count the flow's target, port and source among the distinct ones."""
        port = flow.identity[DST_PORT]
        self.targets_more |= self._count(self.targets, flow.target)
        if flow.identity[PROTOCOL] in WITH_PORTS:
            self.ports_more |= self._count(self.ports, port)
        self.origins_more |= self._count(self.origins, flow.source)

    def _count(self, distinct: Distinct, value: int) -> bool:
        """Add a value while there is room; returns whether it is one too many."""
        if value in distinct:
            return False
        if not self.budget.admits(len(distinct)):
            return True
        distinct[value] = None
        return False

    def _take_over(self, distinct: Distinct, others: Distinct) -> bool:
        """Add the values of another episode while there is room; returns whether one was too many."""
        too_many = False
        for value in others:
            too_many |= self._count(distinct, value)
        return too_many


class MergedHost:
    """What is known of an episode that a storm's alert reports: enough to count it once, and when it is over."""

    __slots__ = (
        *("attack", "due_ns", "end_ns", "few_targets", "flows", "kind", "known", "last_ns", "level", "novel"),
        *("order", "peak", "running", "start_ns", "storm", "subject", "supported"),
    )

    opened = True  # as of an episode

    def __init__(self, episode: Episode, storm: Episode) -> None:
        """storm: the episode over many hosts that reports this one."""
        self.storm = storm
        self.kind, self.subject, self.order, self.due_ns = episode.kind, episode.subject, episode.order, episode.due_ns
        self.attack, self.known, self.novel = episode.attack, episode.known, episode.novel
        self.supported, self.flows, self.few_targets = episode.supported, episode.flows, episode.few_targets
        self.level, self.peak = episode.level, episode.peak
        self.start_ns, self.end_ns, self.last_ns = episode.start_ns, episode.end_ns, episode.last_ns
        self.running = episode.running

    def add(self, flow: FlaggedFlow, clock_ns: int) -> None:
        """Count one report of a flagged flow, here and in the storm, as Episode.add does."""
        identity = flow.identity
        self.last_ns = clock_ns
        self.start_ns = min(self.start_ns, identity[START_NS])
        self.end_ns = max(self.end_ns, identity[END_NS])
        fresh = not self.running.seen_before(identity)
        self.flows += fresh
        self.storm.add(flow, clock_ns, fresh)

    def end(self) -> None:
        """Give back what grew with it."""
        self.running.clear()


Held = Episode | MergedHost


def told_by(held: Held) -> Episode:
    """The episode whose alert tells of this one: itself, or a storm."""
    return held.storm if isinstance(held, MergedHost) else held
