"""Names that traffic tells, kept for the flows that alerts show: as they were known when the flow was reported.

It takes what the packets of a run said, by their times, and tells what was known at a moment: the same whatever blocks
the packets came in and however many workers metered them. No alert depends on it.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    END_SHIFT_NS,
    IP_VERSION,
    PROTOCOL,
    REPORTED_NS,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    START_SHIFT_NS,
    VLAN,
    address,
)
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

    def of_flow(self, identity: Sequence[int], values: NDArray[np.float64]) -> Callable[[], FlowNames]:
        """Tells what is known of a flow when it is reported, after those that were reported before it.

        identity: words of FlowBatch.identity. values: (len(COLUMNS),) its columns.
        """
        now_ns = identity[REPORTED_NS]
        self._store.take_until(now_ns)
        source = identity[SRC_HIGH], identity[SRC_LOW]
        destination = identity[DST_HIGH], identity[DST_LOW]
        known = self._store.known(identity[IP_VERSION], source, destination, flow_key(identity), now_ns)
        # A record without a SYN goes on with a connection that began before it.
        begin_ns = identity[START_NS] + identity[START_SHIFT_NS] if values[_SYN] else 0
        # Few flows that may be shown are: what is known of them stays as it is kept until then.
        return cache(partial(_names, known, begin_ns, identity[END_NS] + identity[END_SHIFT_NS]))


def _names(known: Known, begin_ns: int, end_ns: int) -> FlowNames:
    """What was known of a flow, its hello where that was seen between two moments."""
    hello = known.hello.told() if known.hello and begin_ns <= known.hello.seen_ns <= end_ns else None
    return FlowNames(
        _seen(known.source), _seen(known.destination), TlsHello(hello.server_name, hello.ja4) if hello else NO_HELLO
    )


def _seen(known: KnownNames | None) -> tuple[SeenName, ...]:
    return tuple(
        SeenName(seen.name, seen.seen_ns, address(*seen.asker[1:], seen.asker[0]), seen.reverse)
        for seen in (known.told() if known else ())
    )


def flow_key(identity: Sequence[int]) -> list[int]:
    """Endpoints, ports and VLAN of a flow as a decoded packet has them (flows.layout), the smaller end first."""
    source = identity[SRC_HIGH], identity[SRC_LOW], identity[SRC_PORT]
    target = identity[DST_HIGH], identity[DST_LOW], identity[DST_PORT]
    first, second = sorted((source, target))
    ports = identity[IP_VERSION] << 40 | identity[PROTOCOL] << 32 | first[2] << 16 | second[2]
    return [*first[:2], *second[:2], ports, identity[VLAN]]
