"""The columns of a flow log: flow records as the meter gave them, and what was said of each.

Names are those of the native flow table (flows.dialects) where both have a column. Addresses stand twice: as text for
whoever opens a file with another tool, and as the two words of a flow record, which the sensor itself reads. Times are
instants of traffic time, which a wall clock that was set does not change; `clock_step_ns` leads to the wall clock.
It loads no kernel: who asks a log does not wait for a compiler.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from configs.formats import Format
from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    END_SHIFT_NS,
    IP_VERSION,
    NEW_PACKETS,
    PROTOCOL,
    REPORT,
    REPORTED_NS,
    SEEN,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    START_SHIFT_NS,
    VLAN,
    FlowBatch,
)
from flows.columns import NAMES, feature_contract

if TYPE_CHECKING:  # models.fusion has kernels
    import pyarrow as pa

    from models.fusion import Judgement

FORMAT: Final = Format("flow-log", instead="read it with the flowvigil that wrote it")
METADATA: Final = b"flowvigil"  # key of the file's metadata below which its JSON stands
SCORE: Final = "score_"  # a column's name is this and the name of a detector

WORDS: Final[dict[str, int]] = {
    "src_high": SRC_HIGH, "src_low": SRC_LOW, "dst_high": DST_HIGH, "dst_low": DST_LOW,
    "src_port": SRC_PORT, "dst_port": DST_PORT, "protocol": PROTOCOL, "ip_version": IP_VERSION, "vlan": VLAN,
    "report": REPORT, "new_packets": NEW_PACKETS, "seen": SEEN,
    "start_shift_ns": START_SHIFT_NS, "end_shift_ns": END_SHIFT_NS,
}  # fmt: skip
INSTANTS: Final[dict[str, int]] = {"start": START_NS, "end": END_NS, "reported": REPORTED_NS}
REASON: Final = "end_reason"
VALUES: Final[tuple[str, ...]] = tuple(name for name in NAMES if name != "protocol")  # which stands among the words
TEXTS: Final = ("src_address", "dst_address", REASON, "verdict", "label")  # few differ
P_VALUES: Final = ("p_known", "p_novel")
CIRCUMSTANCES: Final = ("dropped", "clock_step_ns")  # packets lost by then, and what the wall clock was set forward by
# Columns that queries look at: of these the least and the greatest value of each row group stand in the footer.
SOUGHT: Final = (
    *("src_high", "src_low", "dst_high", "dst_low", "src_port", "dst_port", "protocol", "ip_version", "vlan"),
    *("start", "end", "reported", "report", "fwd_packets", "bwd_packets", "fwd_bytes", "bwd_bytes", "flow_duration"),
    *("p_known", "p_novel", "verdict", "label"),
)


@dataclass(frozen=True, slots=True)
class JudgedBy:
    """Which model judged, and how its numbers read."""

    model: str  # its name
    sha256: str  # of its weights
    rate: float  # nominal false-positive rate
    cuts: tuple[float, float]  # p-values of the known and the novel lane below which they speak
    labels: tuple[str, ...]  # names by their number
    detectors: tuple[str, ...]  # whose scores there are


@dataclass(frozen=True, slots=True)
class JudgedRecords:
    """Flow records, what was said of each and by whom, and the circumstances."""

    records: FlowBatch
    judgement: "Judgement"  # of the same rows
    by: JudgedBy
    dropped: int = 0  # packets that the capture had lost by then
    clock_step_ns: int = 0  # what the wall clock had been set forward by

    def __len__(self) -> int:
        return len(self.records)


def contract() -> str:
    """What the values mean: a hash over all columns of flow records, 16 hexadecimal digits."""
    columns = feature_contract().columns
    return hashlib.sha256(" ".join(f"{name}:{columns[name]}" for name in VALUES).encode()).hexdigest()[:16]


def schema(detectors: tuple[str, ...]) -> "pa.Schema":
    """The columns of a file. detectors: names of those whose scores it has."""
    import pyarrow as pa

    text, instant = pa.dictionary(pa.int32(), pa.string()), pa.timestamp("ns", "UTC")
    return pa.schema([
        ("src_address", text), ("src_port", pa.int64()), ("dst_address", text), ("dst_port", pa.int64()),
        ("protocol", pa.int64()), ("vlan", pa.int64()), ("start", instant), ("end", instant), (REASON, text),
        ("verdict", text), ("label", text), ("judged", pa.bool_()), *((name, pa.float64()) for name in P_VALUES),
        *((SCORE + name, pa.float64()) for name in detectors),
        *((name, pa.float64()) for name in VALUES),
        ("report", pa.int64()), ("new_packets", pa.int64()), ("reported", instant), ("seen", pa.int64()),
        ("start_shift_ns", pa.int64()), ("end_shift_ns", pa.int64()), ("ip_version", pa.int64()),
        *((name, pa.int64()) for name in ("src_high", "src_low", "dst_high", "dst_low")),
        *((name, pa.int64()) for name in CIRCUMSTANCES),
    ])  # fmt: skip
