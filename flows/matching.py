"""Truth laid beside the flows that a meter made: which of them are an attack's, and which attack an alert is about.

A flow of the meter is the flow of the truth with the same five-tuple, either way, that it shares the most time with: a
meter cuts long flows and may take a port that is used again for one flow. Addresses of hosts are all that it reads of
records; it knows no packets and no alerts, only the flows that one rests on.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    IP_VERSION,
    NEW_PACKETS,
    PROTOCOL,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    START_SHIFT_NS,
    VLAN,
    WITH_PORTS,
    Identity,
    address,
)
from flows.truth import FlowTruth

TOLERANCE_NS: Final = 1_000_000  # captures of microseconds cut their stamps
NO_EPISODE: Final = -1
# What makes two reports those of one flow, but for flows of the same five-tuple that start at the same moment.
KEY: Final = (SRC_HIGH, SRC_LOW, DST_HIGH, DST_LOW, SRC_PORT, DST_PORT, PROTOCOL, IP_VERSION, VLAN, START_NS,
              START_SHIFT_NS)  # fmt: skip

FlowKey = tuple[int, ...]  # the words of KEY
Ends = frozenset[tuple[str, int]]


def key_of(words: Sequence[int]) -> FlowKey:
    """The key of a flow, from the words of one of its reports."""
    return tuple(words[word] for word in KEY)


def matched(identity: Identity, truths: Sequence[FlowTruth]) -> NDArray[np.int64]:
    """Which truth each flow is, (n,) int64, -1 where none tells of it.

    identity: (n, IDENTITY_WIDTH) of each flow's last report. Times are compared as they were stamped.
    """
    by_ends: dict[tuple[int, Ends], list[int]] = {}
    for number, truth in enumerate(truths):
        by_ends.setdefault(_ends_of_truth(truth), []).append(number)
    found = np.full(len(identity), -1, dtype=np.int64)
    for row, words in enumerate(identity.tolist()):
        best = 0
        for number in by_ends.get(_ends_of(words), ()):
            shared = _shared_ns(words[START_NS], words[END_NS], truths[number])
            if shared > best:
                best, found[row] = shared, number
    return found


def episode_of(packets: Mapping[FlowKey, int], of_flow: Mapping[FlowKey, int]) -> tuple[int, set[int]]:
    """The episode that an alert on some flows belongs to, and all episodes that it tells of.

    It is the one that most of the flows are of, or most of their packets: a tunnel may be one flow beside two lookups;
    NO_EPISODE where neither half of the flows nor half of their packets are of any. An alert that belongs to one tells
    of every episode of whose flows it holds at least half: who scans twice is told of once.

    packets: of each flow of the alert. of_flow: the number of the episode of each flow that is of one; others may stand
    there with NO_EPISODE.
    """
    for weights in (Counter(dict.fromkeys(packets, 1)), Counter(packets)):
        of_episode: Counter[int] = Counter()
        for key, weight in weights.items():
            of_episode[of_flow.get(key, NO_EPISODE)] += weight
        attacks = {episode: weight for episode, weight in of_episode.items() if episode != NO_EPISODE}
        if attacks and 2 * sum(attacks.values()) >= of_episode.total():
            most = min(attacks, key=lambda episode: (-attacks[episode], episode))
            return most, _held(packets, of_flow)
    return NO_EPISODE, set()


def packets_by_flow(reports: Iterable[Sequence[int]]) -> Counter[FlowKey]:
    """Packets of each flow by its key, from the words of its reports."""
    packets: Counter[FlowKey] = Counter()
    for words in reports:
        packets[key_of(words)] += words[NEW_PACKETS]
    return packets


def _held(keys: Iterable[FlowKey], of_flow: Mapping[FlowKey, int]) -> set[int]:
    """Episodes of whose flows at least half have these keys."""
    flows = Counter(of_flow.values())
    held = Counter(of_flow.get(key, NO_EPISODE) for key in keys)
    return {episode for episode, count in held.items() if episode != NO_EPISODE and 2 * count >= flows[episode]}


def _ends_of(words: list[int]) -> tuple[int, Ends]:
    ports = (words[SRC_PORT], words[DST_PORT]) if words[PROTOCOL] in WITH_PORTS else (0, 0)
    version = words[IP_VERSION]
    source = address(words[SRC_HIGH], words[SRC_LOW], version), ports[0]
    target = address(words[DST_HIGH], words[DST_LOW], version), ports[1]
    return words[PROTOCOL], frozenset((source, target))


def _ends_of_truth(truth: FlowTruth) -> tuple[int, Ends]:
    ports = (truth.initiator_port, truth.target_port) if truth.protocol in WITH_PORTS else (0, 0)
    return truth.protocol, frozenset(((truth.initiator, ports[0]), (truth.target, ports[1])))


def _shared_ns(start_ns: int, end_ns: int, truth: FlowTruth) -> int:
    """Time that a flow and a truth share, both with the tolerance at each end; 0 or less of nothing."""
    return min(end_ns, truth.end_ns) - max(start_ns, truth.start_ns) + 2 * TOLERANCE_NS
