"""Which program measured a flow table, told from its numbers: the same header stands above different arithmetic.

Each rule is an error that every row of that program's output shows (first packet counted twice; frames measured instead
of payload; sub-flows counted as gaps), checked on the programs' own output.
"""

from dataclasses import astuple, dataclass

import numpy as np

from flows.columns import COLUMNS, INDEX
from training.arrays import Mask, Values


def _named(*beginnings: str) -> frozenset[str]:
    return frozenset(column.name for column in COLUMNS if column.name.startswith(beginnings))


@dataclass(frozen=True, slots=True)
class FlowProgram:
    """A program that writes tables of flows, and how it errs."""

    name: str
    # Columns it is known to measure otherwise than flows.columns says, beyond what a repair can undo
    unfit: frozenset[str]
    first_window: bool = False  # the column named after a first backward window holds it, and not the last one's


BULKS = _named("fwd_bulk", "bwd_bulk")
SUBFLOWS = _named("subflow")
DIRECTED_FLAGS = frozenset({"fwd_psh_flags", "bwd_psh_flags", "fwd_urg_flags", "bwd_urg_flags"})
FLAGS = frozenset(column.name for column in COLUMNS if column.name.endswith("_flag_count"))
LENGTHS = _named("fwd_packet_length", "bwd_packet_length", "packet_length") | frozenset(
    {
        "fwd_bytes",
        "bwd_bytes",
        "flow_bytes_per_s",
        "average_packet_size",
        "fwd_segment_size_avg",
        "bwd_segment_size_avg",
    }
)
DEVIATIONS = frozenset(column.name for column in COLUMNS if column.name.endswith(("_std", "_variance")))

CORRECTED = FlowProgram("a corrected meter", frozenset(), first_window=True)
CORRECTED_FORK = FlowProgram("the corrected fork of CICFlowMeter", frozenset())
V4 = FlowProgram("CICFlowMeter V4", DIRECTED_FLAGS | BULKS | SUBFLOWS | {"down_up_ratio"})
BEFORE_V4 = FlowProgram(
    "CICFlowMeter before V4",
    DIRECTED_FLAGS | FLAGS | BULKS | SUBFLOWS | _named("active", "idle") | {"down_up_ratio"},
)
PYTHON = FlowProgram(
    "Python cicflowmeter",
    LENGTHS | DEVIATIONS | BULKS | SUBFLOWS | _named("active", "idle")
    | {"fwd_header_length", "bwd_header_length", "fwd_seg_size_min", "cwr_flag_count", "bwd_init_win_bytes"},
    first_window=True,  # from 0.4 on
)  # fmt: skip

# Of the mean of n values against n + 1 of them; text of 16 digits is a millionth of that.
CLOSE = 1e-9
SUBFLOW_GAP_US = 1e6
US_IN_A_SECOND = 1e6
SMALLEST_FRAME = 42  # bytes: Ethernet, IPv4 and UDP headers


@dataclass(frozen=True, slots=True)
class Evidence:
    """In how many rows of a table each program's errors show; the evidence of two parts of a table adds up."""

    sized: int = 0  # rows that can tell how often the first packet was counted
    twice: int = 0  # those that say twice
    flagged: int = 0  # rows with any flag
    # Rows that the tables of 2017, whose flag columns stand in the order of a Java hash map, do not have (each count is
    # that of the first packet alone, SYN repeats forward PSH and CWR forward URG)
    unpermuted: int = 0
    short: int = 0  # rows with a packet too short for a frame
    without_gap: int = 0  # flows without gaps
    subflows_counted: int = 0  # those of them that are one sub-flow
    timed: int = 0  # rows whose rates tell the unit of times
    in_us: int = 0  # those that say µs
    in_s: int = 0  # those that say seconds

    def __add__(self, other: "Evidence") -> "Evidence":
        return Evidence(*(ours + theirs for ours, theirs in zip(astuple(self), astuple(other), strict=True)))

    @property
    def tells(self) -> bool:
        """Whether the rows have what all of the rules look at."""
        return self.sized > 0 and self.without_gap > 0


def evidence(values: Values) -> Evidence:
    """What some rows, as they were written, say about their program. values may be infinite in the rates alone."""
    column = {name: values[:, i] for name, i in INDEX.items()}
    n = column["fwd_packets"] + column["bwd_packets"]
    sized, twice = _counted_twice(column["packet_length_mean"], column["average_packet_size"], n)
    flags = values[:, [INDEX[name] for name in sorted(FLAGS)]]
    permuted = (
        (flags <= 1).all(axis=1)
        & (column["syn_flag_count"] == column["fwd_psh_flags"])
        & (column["cwr_flag_count"] == column["fwd_urg_flags"])
    )
    no_gap = column["flow_iat_max"] <= SUBFLOW_GAP_US
    counted = (column["subflow_fwd_packets"] == column["fwd_packets"]) & (
        column["subflow_bwd_packets"] == column["bwd_packets"]
    )
    timed, in_us, in_s = _units(column["flow_duration"], column["flow_packets_per_s"], n)
    return Evidence(
        sized=int(sized.sum()),
        twice=int(twice.sum()),
        flagged=int(flags.any(axis=1).sum()),
        unpermuted=int((~permuted).sum()),
        short=int((column["packet_length_min"] < SMALLEST_FRAME).sum()),
        without_gap=int(no_gap.sum()),
        subflows_counted=int((no_gap & counted).sum()),
        timed=int(timed.sum()),
        in_us=int(in_us.sum()),
        in_s=int(in_s.sum()),
    )


def measured_by(dialect: str, found: Evidence, present: frozenset[str]) -> FlowProgram:
    """The program behind a table of a dialect. present: columns that the table has; values of the others are 0."""
    if dialect == "native":
        return CORRECTED
    if dialect == "python":
        # Frames are no shorter than their headers, payload is.
        return CORRECTED if found.short else PYTHON
    permuted = found.flagged > 0 and not found.unpermuted
    if found.twice * 2 > found.sized or (dialect == "cic2017" and permuted):
        return V4 if dialect == "v4" else BEFORE_V4
    one_subflow = present >= SUBFLOWS and 0 < found.without_gap == found.subflows_counted
    return CORRECTED if one_subflow else CORRECTED_FORK


def times_in_seconds(found: Evidence) -> bool:
    """Whether a table of Python's cicflowmeter has its times in seconds, as from 0.4 on, and not in µs.

    Its versions cannot be told by their header. The rates tell: they are per second, packets = rate · seconds. Raises
    ValueError when rows contradict each other or themselves.
    """
    if found.timed in (0, found.in_us):
        return False
    if found.timed == found.in_s:
        return True
    raise ValueError("times are neither µs nor seconds throughout")


def _counted_twice(mean: Values, size: Values, n: Values) -> tuple[Mask, Mask]:
    """Rows with lengths, and those whose mean was taken over n + 1 packets: average size · n = mean · (n + 1)."""
    sized = (mean > 0) & (n > 0)
    return sized, sized & (np.abs(size * n - mean * (n + 1)) <= CLOSE * mean * (n + 1))


def _units(duration: Values, rate: Values, n: Values) -> tuple[Mask, Mask, Mask]:
    timed = (duration > 0) & (rate > 0) & (n > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = duration * rate / n
    return timed, timed & np.isclose(unit, US_IN_A_SECOND, rtol=1e-3), timed & np.isclose(unit, 1.0, rtol=1e-3)
