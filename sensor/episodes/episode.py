"""One episode: the flows of one claim, counted; it decides nothing and writes nothing.

Distinct targets, ports and sources are held exactly up to DISTINCT_LIMIT each and then only known to be more. All
episodes together share one budget of such values, so that their memory is bounded whatever an attacker does: the fuller
it is, the fewer a single one may have (dynamic thresholds, Choudhury and Hahne 1998), and the largest stop first.
"""

from collections.abc import Sequence
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
    END_REASON,
    END_SHIFT_NS,
    IP_VERSION,
    NEW_PACKETS,
    PROTOCOL,
    REPORT,
    SNAPSHOT,
    SRC_HIGH,
    SRC_LOW,
    START_NS,
    WITH_PORTS,
)
from sensor.alerts.spread import Spread
from sensor.alerts.techniques import Technique

DISTINCT_LIMIT = 4096  # values in one set at most
DISTINCT_IN_ALL = 1 << 18  # values of all episodes together, some 150 bytes each
_SHARE = 16  # a set grows while it has less than this part of what is free
_ADDRESS = (1 << 128) - 1

# Distinct values are keys of dictionaries: they keep their order, and the garbage collector passes over dictionaries of
# plain numbers, of which a flood from forged addresses makes many.
Distinct = dict[int, None]


class DistinctBudget:
    """What is left of the distinct values that episodes may hold together; the first of each set is beyond it."""

    __slots__ = ("free",)

    def __init__(self, values: int = DISTINCT_IN_ALL) -> None:
        self.free = values

    def admits(self, held: int) -> bool:
        """Whether a set that holds so many values may have one more; if so, it is charged."""
        if held >= DISTINCT_LIMIT or (held and held * _SHARE >= self.free):
            return False
        self.free -= 1
        return True


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
    top_columns: Sequence[int] | None = None  # columns that moved its score, strongest first; None: nobody has asked


class BufferedFlow(NamedTuple):
    """A flagged flow and a copy of its columns, for when its episode opens."""

    flow: FlaggedFlow
    values: NDArray[np.float64]


class Episode:
    """Counts over the flows of one kind (sensor.episodes.shapes) about one subject; of a storm, over many."""

    __slots__ = (
        *("_running", "alerts", "alerts_at_line", "closed", "end_ns", "exemplar", "failed", "flows", "flows_at_line"),
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
            "merged_in",
            "novel",
            "opened",
        ),
        *("order", "packets", "peak", "ports", "ports_more", "shift_ns", "origins", "origins_more", "start_ns"),
        *(
            "subject",
            "supported",
            "targets",
            "targets_more",
            "technique",
            "technique_at_line",
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
        self.flows_at_line = 0
        self.technique_at_line: Technique | None = None
        self.verdict_at_line = False
        self.alerts = self.alerts_at_line = 0  # of single hosts that a storm alert stands for
        self.merged_in: Episode | None = None  # the storm whose alert reports this episode
        self.linked = 0  # flows given with the id of its alert
        self._running: set[tuple[int, ...]] | None = None  # flows whose reports go on

    @property
    def reported_by(self) -> "Episode":
        """The episode whose alert reports this one: itself, or a storm."""
        return self.merged_in or self

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
            fresh = not self._seen_before(identity)
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
        if other._running:
            self._running = self._running or set()
            for key in sorted(other._running - self._running):
                if not self.budget.admits(len(self._running)):
                    break
                self._running.add(key)
        for label, count in other.labels.items():
            self.labels[label] = self.labels.get(label, 0) + count
        if other.exemplar and (not self.exemplar or other.exemplar.flow.strength < self.exemplar.flow.strength):
            self.exemplar = other.exemplar

    def weigh(self, other: "Episode") -> None:
        """Take over the weight of another episode's evidence."""
        self.attack = self.attack or other.attack
        self.known, self.novel = self.known or other.known, self.novel or other.novel
        self.peak = max(self.peak, other.peak)

    def awaits(self, deadline_ns: int) -> bool:
        """Whether it is to be looked at then."""
        return not self.closed and deadline_ns == self.due_ns

    def end(self) -> None:
        """Mark it closed and give back what grew with it; hosts stay known for long after."""
        self.closed = True
        self.budget.free += sum(map(len, (self.targets, self.ports, self.origins, self._running or ())))
        self.targets, self.ports, self.origins, self._running = {}, {}, {}, None

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

    def label(self) -> int:
        """The label most often given, the smallest index of equals; -1 without any."""
        return max(self.labels, key=lambda label: (self.labels[label], -label), default=-1)

    def _seen_before(self, identity: list[int]) -> bool:
        """Whether an earlier report of this flow was counted."""
        snapshot = identity[END_REASON] == SNAPSHOT
        if not snapshot and identity[REPORT] == 0:
            return False
        key = (identity[START_NS], *identity[SRC_HIGH : DST_PORT + 1])
        if self._running is None:
            self._running = set()
        if key in self._running:
            if not snapshot:
                self._running.remove(key)
                self.budget.free += 1
            return True
        if snapshot and self.budget.admits(len(self._running)):
            self._running.add(key)
        return False

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
