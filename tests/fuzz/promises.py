"""What must hold of the meter's records whatever came in."""

import numpy as np

from flows.batch import (
    DST_PORT,
    END_NS,
    END_REASON,
    END_SHIFT_NS,
    IP_VERSION,
    LACK_OF_RESOURCES,
    NEW_PACKETS,
    PROTOCOL,
    REPORT,
    SNAPSHOT,
    SRC_PORT,
    START_NS,
    START_SHIFT_NS,
    VLAN,
    FlowBatch,
)
from flows.columns import NAMES
from flows.meter import Meter

# -1 says "none" in these.
UNSET_COLUMNS = frozenset({"fwd_init_win_bytes", "bwd_init_win_bytes", "bwd_last_win_bytes", "icmp_code", "icmp_type"})
RANGES = {
    SRC_PORT: (0, 65535), DST_PORT: (0, 65535), PROTOCOL: (0, 255), IP_VERSION: (4, 6), VLAN: (0, (1 << 24) - 1),
    END_REASON: (0, 5), REPORT: (0, 1 << 40), NEW_PACKETS: (0, 1 << 40), START_NS: (0, (1 << 63) - 1),
    END_NS: (0, (1 << 63) - 1),
}  # fmt: skip
FLOORS = np.array([-1.0 if name in UNSET_COLUMNS else 0.0 for name in NAMES])


class BrokenPromiseError(AssertionError):
    """A promise of the meter does not hold."""


def require(condition: object, words: str) -> None:
    """Raise BrokenPromiseError with these words unless the condition holds."""
    if not condition:
        raise BrokenPromiseError(words)


def check_records(batch: FlowBatch) -> None:
    """No record of the default construction holds what cannot be; other programs' rules give such values."""
    if not len(batch):
        return
    require(np.isfinite(batch.values).all(), "a value is not finite")
    low = batch.values.min(axis=0)
    wrong = [name for name, value, floor in zip(NAMES, low, FLOORS, strict=True) if value < floor]
    require(not wrong, f"negative: {wrong}")
    for column, (least, most) in RANGES.items():
        found = batch.identity[:, column]
        require(found.min() >= least and found.max() <= most, f"identity column {column} outside {least}..{most}")
    start, end = batch.identity[:, START_NS], batch.identity[:, END_NS]
    require((start <= end).all(), "a flow ends before it begins")
    begun, over = start + batch.identity[:, START_SHIFT_NS], end + batch.identity[:, END_SHIFT_NS]
    require(np.array_equal(over // 1000 - begun // 1000, batch.column("flow_duration")), "duration is not end - start")
    for stem in ("fwd_packet_length", "bwd_packet_length", "packet_length", "flow_iat", "fwd_iat", "bwd_iat"):
        smallest, mean, largest = (batch.column(f"{stem}_{word}") for word in ("min", "mean", "max"))
        inside = (smallest <= mean * (1 + 1e-12)).all() and (mean <= largest * (1 + 1e-12)).all()
        require(inside, f"{stem}: mean outside")


def check_drained(meter: Meter, batch: FlowBatch, packets: int, *, news_only: bool) -> None:
    """Every packet is in a record or counted, once the meter has been drained; batch: all its records.

    news_only: a flow's final record may be left out.
    """
    stats = meter.stats
    require(stats.packets == packets, f"{stats.packets} packets counted of {packets}")
    require(stats.packets == stats.metered + sum(stats.undecoded.values()), f"packets do not add up: {stats}")
    require(stats.flows == 0, "flows left after the end")
    expected = stats.metered - stats.left_out
    require(int(batch.identity[:, NEW_PACKETS].sum()) == expected, "new packets do not add up")
    if news_only:
        return
    final = batch.identity[:, END_REASON] != SNAPSHOT
    recorded = int((batch.column("fwd_packets") + batch.column("bwd_packets"))[final].sum())
    require(recorded == expected, f"{recorded} packets in records, {stats.metered} metered, {stats.left_out} left out")
    evicted = int((batch.identity[:, END_REASON] == LACK_OF_RESOURCES).sum())
    silent = stats.evicted - evicted  # where a program's rules leave a flow out, also when it is evicted
    require(0 <= silent <= stats.left_out, f"{evicted} records of evicted flows, {stats.evicted} counted")


def check_equal(one: FlowBatch, other: FlowBatch) -> None:
    """Two ways to hand in the same packets gave the same records, bit for bit."""
    require(np.array_equal(one.identity, other.identity), "identities differ between whole blocks and single packets")
    require(one.values.tobytes() == other.values.tobytes(), "values differ between whole blocks and single packets")
