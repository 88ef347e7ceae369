"""FlowBatch: flow records as the meter gives them, one row a record."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import numpy as np
from numpy.typing import NDArray

from flows.columns import NAMES

Identity = NDArray[np.int64]  # (n, IDENTITY_WIDTH), columns below
Values = NDArray[np.float64]  # (n, len(COLUMNS)), order of flows.columns.COLUMNS

# Columns of FlowBatch.identity. An address is two words, high and low 64 bits as two's complement; IPv4 sits in the
# low word alone.
(
    SRC_HIGH,
    SRC_LOW,
    DST_HIGH,
    DST_LOW,
    SRC_PORT,
    DST_PORT,
    PROTOCOL,
    IP_VERSION,  # 4 or 6
    VLAN,  # outer tag << 12 | inner tag; 0 untagged
    START_NS,  # first packet of this record, as it was stamped
    END_NS,  # last packet of this record, as it was stamped
    END_REASON,  # one of the codes below
    REPORT,  # how many times this record was reported before: 0 the first time
    NEW_PACKETS,  # packets since the report before this one; 0 on a final report that adds nothing
    REPORTED_NS,  # the meter's clock when this record was written; no record comes before one with an earlier moment
    SEEN,  # bits below | fragments that do not fit together << 8, at most 65535 | bytes of the first ICMP message << 24
    START_SHIFT_NS,  # the meter's clock at the first packet - START_NS: 0 where stamps are in order
    END_SHIFT_NS,  # the same of the last packet and END_NS
    IDENTITY_WIDTH,
) = range(19)

# Bits of SEEN: TCP flags that the originator sent, and those that the responder did. SYN stays seen when an active
# timeout has cut the connection since; flows.compat sees nothing.
SEEN_SYN, SEEN_SYN_BACK, SEEN_ACK, SEEN_FIN, SEEN_FIN_BACK, SEEN_RST, SEEN_RST_BACK = (1 << bit for bit in range(7))

# IP protocols whose flows have ports: TCP, UDP, SCTP.
WITH_PORTS: frozenset[int] = frozenset({6, 17, 132})

# flowEndReason of IPFIX (RFC 5102, 5.11.3), and 0 for a snapshot of a flow that goes on.
SNAPSHOT, IDLE_TIMEOUT, ACTIVE_TIMEOUT, END_DETECTED, FORCED_END, LACK_OF_RESOURCES = range(6)
END_REASONS: tuple[str, ...] = (
    "snapshot",
    "idle timeout",
    "active timeout",
    "end of flow detected",
    "forced end",
    "lack of resources",
)


@dataclass(frozen=True, slots=True)
class FlowBatch:
    """Flow records in the order the meter reported them.

    identity: (n, IDENTITY_WIDTH) int64. values: (n, len(COLUMNS)) float64, finite; flows.compat alone gives
    infinite or no numbers, in flow_bytes_per_s and flow_packets_per_s of flows without duration.
    A snapshot is cumulative: its packets are counted again in the later reports of the same flow.
    """

    identity: Identity
    values: Values

    def __len__(self) -> int:
        return len(self.identity)

    def column(self, name: str) -> NDArray[np.float64]:
        """One column of the table, (n,) float64. Raises ValueError for a name that is not in it."""
        return self.values[:, NAMES.index(name)]


def empty_batch() -> FlowBatch:
    """Batch without records."""
    return FlowBatch(np.empty((0, IDENTITY_WIDTH), dtype=np.int64), np.empty((0, len(NAMES)), dtype=np.float64))


def address(high: int, low: int, version: int) -> str:
    """Text of an address held in two signed 64-bit words."""
    if version == 4:
        return str(IPv4Address(low & 0xFFFFFFFF))
    return str(IPv6Address((high & 0xFFFFFFFFFFFFFFFF) << 64 | (low & 0xFFFFFFFFFFFFFFFF)))


def address_words(text: str) -> tuple[int, int]:
    """An address as its two signed 64-bit words, high and low. Raises ValueError for other text."""
    number = int(ip_address(text))
    high, low = number >> 64, number & 0xFFFFFFFFFFFFFFFF
    return high - ((high >> 63) << 64), low - ((low >> 63) << 64)
