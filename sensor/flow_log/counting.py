"""Flows counted by one of their sides: which ports answered, who talked to a host."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    IP_VERSION,
    PROTOCOL,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    WITH_PORTS,
    address,
)
from sensor.alerts.alert import service_in_words, transport_of
from sensor.alerts.kinds import timestamp
from sensor.flow_log.search import FoundFlows
from sensor.printable import printable

MAX_GROUPS: Final = 1_000_000  # that are counted apart; a flood with forged addresses has more
# The words of a flow's identity by which it is counted, or None for what was said of it.
KEYS: Final[dict[str, tuple[int, ...] | None]] = {
    "src": (IP_VERSION, SRC_HIGH, SRC_LOW),
    "dst": (IP_VERSION, DST_HIGH, DST_LOW),
    "sport": (PROTOCOL, SRC_PORT),
    "dport": (PROTOCOL, DST_PORT),
    "proto": (PROTOCOL,),
    "verdict": None,
    "label": None,
}
Key = tuple[Any, ...]


@dataclass(slots=True)
class FlowGroup:
    """Flows that have the same key."""

    flows: int = 0
    answered: int = 0  # of these, those with packets of the responder
    packets: int = 0  # of both directions
    sent: int = 0  # bytes of payload from originators
    received: int = 0  # likewise from responders
    first_ns: int = 1 << 63  # earliest start, by the wall clock
    last_ns: int = 0  # latest end


@dataclass(slots=True)
class Counts:
    """Groups of flows by one of KEYS."""

    by: str
    groups: dict[Key, FlowGroup] = field(default_factory=dict)
    others: FlowGroup = field(default_factory=FlowGroup)  # flows beyond MAX_GROUPS keys

    def add(self, found: FoundFlows) -> None:
        """Count flows."""
        keys, which = self._keys(found)
        n, identity, column = len(keys), found.records.identity, found.records.column
        back = column("bwd_packets")
        sums = [
            np.bincount(which, values, n)
            for values in (None, back > 0, column("fwd_packets") + back, column("fwd_bytes"), column("bwd_bytes"))
        ]
        first, last = np.full(n, np.iinfo(np.int64).max), np.zeros(n, dtype=np.int64)
        np.minimum.at(first, which, identity[:, START_NS] + found.clock_step_ns)
        np.maximum.at(last, which, identity[:, END_NS] + found.clock_step_ns)
        for place, key in enumerate(keys):
            group = self._group(key)
            for name, total in zip(("flows", "answered", "packets", "sent", "received"), sums, strict=True):
                setattr(group, name, getattr(group, name) + int(total[place]))
            group.first_ns = min(group.first_ns, int(first[place]))
            group.last_ns = max(group.last_ns, int(last[place]))

    def largest(self, limit: int | None) -> Iterable[tuple[Key, FlowGroup]]:
        """Groups by their flows, the largest first; at most so many."""
        ordered = sorted(self.groups.items(), key=lambda item: (-item[1].flows, -item[1].answered, item[0]))
        return ordered[:limit]

    def _group(self, key: Key) -> FlowGroup:
        group = self.groups.get(key)
        if group is None:
            if len(self.groups) >= MAX_GROUPS:
                return self.others
            group = self.groups[key] = FlowGroup()
        return group

    def _keys(self, found: FoundFlows) -> tuple[list[Key], NDArray[np.int64]]:
        """The different keys, and which of them each flow has."""
        words = KEYS[self.by]
        if words is None:
            texts = ["not judged"] * len(found) if found.said is None else getattr(found.said, self.by)
            distinct, which = np.unique(np.array(texts), return_inverse=True)
            return [(text,) for text in distinct.tolist()], which.reshape(-1)
        rows, which = np.unique(found.records.identity[:, words], axis=0, return_inverse=True)
        return [tuple(row) for row in rows.tolist()], which.reshape(-1)


def shown(by: str, key: Key) -> str:
    """A key for people: an address, `tcp/445`, a protocol or a word."""
    if by in ("src", "dst"):
        return address(key[1], key[2], key[0])
    if by in ("sport", "dport"):
        return service_in_words(key[1] if key[1] or key[0] in WITH_PORTS else None, key[0])
    return transport_of(key[0]) if by == "proto" else str(key[0])


def document(by: str, key: Key, group: FlowGroup) -> dict[str, Any]:
    """A group as it stands in JSON; times in ISO 8601."""
    names: dict[str, Callable[[], dict[str, Any]]] = {
        "src": lambda: {"src": shown(by, key)},
        "dst": lambda: {"dst": shown(by, key)},
        "sport": lambda: {"sport": key[1], "proto": transport_of(key[0])},
        "dport": lambda: {"dport": key[1], "proto": transport_of(key[0])},
        "proto": lambda: {"proto": transport_of(key[0])},
    }
    named = names[by]() if by in names else {by: printable(str(key[0]), 64)}
    return {
        **named,
        "flows": group.flows,
        "answered": group.answered,
        "packets": group.packets,
        "bytes": {"sent": group.sent, "received": group.received},
        "first": timestamp(group.first_ns),
        "last": timestamp(group.last_ns),
    }
