"""Names that traffic tells, kept for the flows that alerts show: as they were known when the flow was reported.

It takes what the packets of a run said, by their times, and tells what was known at a moment: the same whatever blocks
the packets came in and however many workers metered them. No alert depends on it.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import END_NS, END_SHIFT_NS, REPORTED_NS, START_NS, START_SHIFT_NS, address
from flows.columns import INDEX
from flows.names.store import Known, KnownNames, SightingStore
from sensor.alerts.seen_names import NO_HELLO, FlowNames, SeenName, TlsHello
from sensor.metering.turns import END_NS as NO_MORE_NS
from sensor.metering.turns import Turn

_TOGETHER: Final = 4096  # sightings
_SYN: Final = INDEX["syn_flag_count"]


class Names:
    """The names of a run."""

    def __init__(self, capacity: int) -> None:
        """capacity: addresses of which names are kept, and connections of which hellos are."""
        self._store = SightingStore(capacity, capacity)

    @property
    def evicted(self) -> dict[str, int]:
        """What gave way before its time so far, by store."""
        return self._store.evicted

    def add(self, turn: Turn) -> None:
        """Take in what the packets of a turn said, before its records are judged."""
        self._store.add(turn.seen)

    def settle(self, turn: Turn) -> None:
        """All records of before this turn's moment were judged."""
        # Putting a few in order costs as much as thousands: they may wait for a flow that is shown.
        if self._store.waiting >= _TOGETHER or turn.until_ns == NO_MORE_NS:
            self._store.take_until(turn.until_ns)

    def of_flow(self, identity: NDArray[np.int64], values: NDArray[np.float64]) -> Callable[[], FlowNames]:
        """Tells what is known of a flow when it is reported, after those that were reported before it.

        identity: (IDENTITY_WIDTH,) words of FlowBatch.identity. values: (len(COLUMNS),) its columns.
        """
        now_ns = int(identity[REPORTED_NS])
        self._store.take_until(now_ns)
        known = self._store.known(identity, now_ns)
        if known is None:
            return FlowNames
        if known.hello is None:
            return NamesOfFlow(known, 0, 0)
        # A record without a SYN goes on with a connection that began before it.
        begin_ns = int(identity[START_NS] + identity[START_SHIFT_NS]) if values[_SYN] else 0
        return NamesOfFlow(known, begin_ns, int(identity[END_NS] + identity[END_SHIFT_NS]))


class NamesOfFlow:
    """What was known of a flow, made words of when it is shown: few that may be are."""

    __slots__ = ("_begin_ns", "_end_ns", "_known", "_told")

    def __init__(self, known: Known, begin_ns: int, end_ns: int) -> None:
        """begin_ns, end_ns: between which its hello was seen."""
        self._known, self._begin_ns, self._end_ns = known, begin_ns, end_ns
        self._told: FlowNames | None = None

    def __call__(self) -> FlowNames:
        """The names."""
        if self._told is None:
            known, hello = self._known, NO_HELLO
            if known.hello and self._begin_ns <= known.hello.seen_ns <= self._end_ns:
                said = known.hello.told()
                hello = TlsHello(said.server_name, said.ja4)
            self._told = FlowNames(_seen(known.source), _seen(known.destination), hello)
        return self._told


def _seen(known: KnownNames | None) -> tuple[SeenName, ...]:
    return tuple(
        SeenName(seen.name, seen.seen_ns, address(*seen.asker[1:], seen.asker[0]), seen.reverse)
        for seen in (known.told() if known else ())
    )
