"""Who talks most, by which services and protocols, for people who look on: bounded sums over the flow records of a run.

Each of the three keeps its largest sums. What is added waits until somebody looks or there is much of it, and is then
merged with them; beyond the bound the smallest give way, as in a merge of counters by Agarwal and others (Mergeable
Summaries, 2012). Amounts fade by a mean time, or count from the start. No alert depends on it.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    IDENTITY_WIDTH,
    IP_VERSION,
    NEW_PACKETS,
    PROTOCOL,
    REPORT,
    REPORTED_NS,
    SRC_HIGH,
    SRC_LOW,
    WITH_PORTS,
    FlowBatch,
    address,
)
from sensor.alerts.alert import service_in_words, transport_of
from sensor.progress.progress import Share, Traffic

HOSTS: Final = 4096  # of which sums are kept
SERVICES: Final = 1024
PROTOCOLS: Final = 256  # all there are
SHOWN: Final = 12  # the largest of each kind that are told
FADE_S: Final = 60.0  # mean time for which a byte counts in a watch: a flow that goes on is reported each minute
_WAITING: Final = 16_384  # rows that wait to be merged
_SECOND_NS: Final = 1e9

Keys = NDArray[np.int64]  # (n, words), what is summed by
Amounts = NDArray[np.float64]  # (n, 2), bytes and flows


class LargestSums:
    """Sums of bytes and flows by key, those with the most bytes."""

    def __init__(self, words: int, capacity: int) -> None:
        """words: of a key. capacity: of keys after a merge."""
        self.forgotten = 0  # keys that gave way
        self._capacity = capacity
        # Nobody can choose keys that meet. Odd, so that no bit of a word is lost.
        self._factors = np.array([secrets.randbits(64) | 1 for _ in range(words)], dtype=np.uint64)
        self._marks = np.zeros(0, dtype=np.uint64)
        self._keys: Keys = np.zeros((0, words), dtype=np.int64)
        self._sums: Amounts = np.zeros((0, 2))

    def merge(self, keys: Keys, amounts: Amounts, remains: float) -> None:
        """Add amounts by key, after what is there has faded to a share of itself."""
        marks = np.concatenate([self._marks, self._marks_of(keys)])
        rows = np.concatenate([self._keys, keys])
        added = np.concatenate([self._sums * remains, amounts])
        self._marks, first, place = np.unique(marks, return_index=True, return_inverse=True)
        self._keys = rows[first]
        self._sums = np.stack([np.bincount(place, added[:, column], len(first)) for column in (0, 1)], axis=1)
        spare = len(first) - self._capacity
        if spare > 0:
            kept = np.argpartition(self._sums[:, 0], spare)[spare:]
            kept.sort()
            self._marks, self._keys, self._sums = self._marks[kept], self._keys[kept], self._sums[kept]
            self.forgotten += spare

    def largest(self, most: int) -> list[tuple[list[int], float, float]]:
        """Key, bytes and flows of the largest, the largest first; what has faded to less than a byte is none."""
        order = np.lexsort((*self._keys.T, -self._sums[:, 0]))[:most]  # equal ones by their keys
        return [
            (key, size, flows)
            for key, (size, flows) in zip(self._keys[order].tolist(), self._sums[order].tolist(), strict=True)
            if size >= 1
        ]

    def _marks_of(self, keys: Keys) -> NDArray[np.uint64]:
        marks = np.zeros(len(keys), dtype=np.uint64)
        for column, factor in enumerate(self._factors):
            marks = (marks ^ keys[:, column].view(np.uint64)) * factor
            marks ^= marks >> np.uint64(29)
        return marks


@dataclass(slots=True)
class TrafficCounts:
    """Who talks most in a run."""

    fade_s: float | None = None  # mean time for which a byte counts, None: from the start
    _hosts: LargestSums = field(default_factory=lambda: LargestSums(3, HOSTS))  # IP version and address
    _services: LargestSums = field(default_factory=lambda: LargestSums(2, SERVICES))  # protocol and port
    _protocols: LargestSums = field(default_factory=lambda: LargestSums(1, PROTOCOLS))
    _waiting: list[tuple[Keys, Amounts]] = field(default_factory=list)  # identity and amounts of records
    _rows: int = 0  # of these
    _first_ns: int = 0
    _now_ns: int = 0
    _merged_ns: int = 0

    def add(self, records: FlowBatch, now_ns: int) -> None:
        """Count flow records. now_ns: the traffic's time (steady), 0 before the first packet."""
        if not now_ns:
            return
        if not self._first_ns:
            self._first_ns = self._merged_ns = now_ns
        self._now_ns = max(self._now_ns, now_ns)
        if not len(records):
            return
        self._first_ns = min(self._first_ns, int(records.identity[:, REPORTED_NS].min()))
        self._waiting.append((records.identity.copy(), amounts_of(records)))
        self._rows += len(records)
        if self._rows >= _WAITING:
            self._merge()

    def traffic(self) -> Traffic:
        """Who talks most by now."""
        self._merge()
        span_ns = self._now_ns - self._first_ns
        return Traffic(
            seconds=span_ns / _SECOND_NS if self.fade_s is None else self.fade_s * (1 - self._remains(span_ns)),
            hosts=_shares(self._hosts, lambda key: address(key[1], key[2], key[0])),
            services=_shares(self._services, lambda key: service_in_words(key[1], key[0])),
            protocols=_shares(self._protocols, lambda key: transport_of(key[0])),
            forgotten=self._hosts.forgotten + self._services.forgotten,
        )

    def _merge(self) -> None:
        remains = self._remains(self._now_ns - self._merged_ns)
        self._merged_ns = self._now_ns
        identity = np.concatenate([rows for rows, _ in self._waiting]) if self._waiting else _NO_IDENTITY
        amounts = np.concatenate([rows for _, rows in self._waiting]) if self._waiting else np.zeros((0, 2))
        self._waiting, self._rows = [], 0
        if self.fade_s is not None:
            ages_s = np.maximum(self._now_ns - identity[:, REPORTED_NS], 0) / _SECOND_NS
            amounts = amounts * np.exp(-ages_s / self.fade_s)[:, None]
        ends = identity[:, [[IP_VERSION, SRC_HIGH, SRC_LOW], [IP_VERSION, DST_HIGH, DST_LOW]]]
        self._hosts.merge(ends.reshape(-1, 3), np.repeat(amounts, 2, axis=0), remains)
        ported = np.isin(identity[:, PROTOCOL], list(WITH_PORTS))
        self._services.merge(identity[ported][:, [PROTOCOL, DST_PORT]], amounts[ported], remains)
        self._protocols.merge(identity[:, [PROTOCOL]], amounts, remains)

    def _remains(self, span_ns: int) -> float:
        return 1.0 if self.fade_s is None else float(np.exp(-span_ns / _SECOND_NS / self.fade_s))


_NO_IDENTITY: Final[Keys] = np.zeros((0, IDENTITY_WIDTH), dtype=np.int64)


def amounts_of(records: FlowBatch) -> Amounts:
    """Bytes of the IP packets of each record since the report before it, and whether it is of a new flow.

    Bytes are payload, layer-4 headers and an IP header without options a packet. Of a flow that was reported before,
    the bytes since then are reckoned by its mean packet.
    """
    identity = records.identity
    packets = records.column("fwd_packets") + records.column("bwd_packets")
    header = np.where(identity[:, IP_VERSION] == 4, 20, 40)
    columns = ("fwd_bytes", "bwd_bytes", "fwd_header_length", "bwd_header_length")
    size = packets * header + sum(records.column(name) for name in columns)
    fresh = np.minimum(identity[:, NEW_PACKETS] / np.maximum(packets, 1), 1.0)
    return np.stack([size * fresh, identity[:, REPORT] == 0], axis=1)


def _shares(sums: LargestSums, name: Callable[[Sequence[int]], str]) -> tuple[Share, ...]:
    return tuple(Share(name(key), round(size), round(flows)) for key, size, flows in sums.largest(SHOWN))
