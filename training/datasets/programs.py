"""Which program measured a flow table, told from its numbers: the same header stands above different arithmetic.

Each rule is an error that every row of that program's output shows (first packet counted twice; frames measured instead
of payload; sub-flows counted as gaps), checked on the programs' own output.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flows.columns import COLUMNS, INDEX

Values = NDArray[np.float64]  # (n, c) in the order of flows.columns.COLUMNS
Mask = NDArray[np.bool_]  # (n,)


def _named(*beginnings: str) -> frozenset[str]:
    return frozenset(column.name for column in COLUMNS if column.name.startswith(beginnings))


@dataclass(frozen=True, slots=True)
class Program:
    """What wrote a table.

    unfit: columns it is known to measure otherwise than flows.columns says, beyond what a repair can undo.
    first_window: the column named after a first backward window holds it, and not the last one's.
    """

    name: str
    unfit: frozenset[str]
    first_window: bool = False


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

CORRECTED = Program("a corrected meter", frozenset(), first_window=True)
CORRECTED_FORK = Program("the corrected fork of CICFlowMeter", frozenset())
V4 = Program("CICFlowMeter V4", DIRECTED_FLAGS | BULKS | SUBFLOWS | {"down_up_ratio"})
BEFORE_V4 = Program(
    "CICFlowMeter before V4",
    DIRECTED_FLAGS | FLAGS | BULKS | SUBFLOWS | _named("active", "idle") | {"down_up_ratio"},
)
PYTHON = Program(
    "Python cicflowmeter",
    LENGTHS | DEVIATIONS | BULKS | SUBFLOWS | _named("active", "idle")
    | {"fwd_header_length", "bwd_header_length", "fwd_seg_size_min", "cwr_flag_count", "bwd_init_win_bytes"},
    first_window=True,  # from 0.4 on
)  # fmt: skip

# Of the mean of n values against n + 1 of them; text of 16 digits is a millionth of that.
CLOSE = 1e-9
SUBFLOW_GAP_US = 1e6
SMALLEST_FRAME = 42  # bytes: Ethernet, IPv4 and UDP headers


def measured_by(dialect: str, values: Values, present: frozenset[str]) -> Program:
    """The program behind a table of a dialect. present: columns that the table has; values of the others are 0."""
    if dialect == "native":
        return CORRECTED
    if dialect == "python":
        return PYTHON if _frames_measured(values) else CORRECTED
    if counts_first_packet_twice(values) or (dialect == "cic2017" and permuted_flags(values)):
        return V4 if dialect == "v4" else BEFORE_V4
    return CORRECTED if _counts_subflows(values, present) else CORRECTED_FORK


def counts_first_packet_twice(values: Values) -> bool:
    """Whether the mean length was taken over n + 1 packets, as average size · n = mean · (n + 1) gives away."""
    size, mean = values[:, INDEX["average_packet_size"]], values[:, INDEX["packet_length_mean"]]
    n = values[:, INDEX["fwd_packets"]] + values[:, INDEX["bwd_packets"]]
    telling = (mean > 0) & (n > 0)
    twice = np.abs(size * n - mean * (n + 1)) <= CLOSE * mean * (n + 1)
    return bool((telling & twice).sum() * 2 > telling.sum())


def permuted_flags(values: Values) -> bool:
    """Whether the flag columns stand in the order of a Java hash map, as in all tables of 2017.

    There each count is that of the first packet alone, and SYN repeats forward PSH, CWR forward URG, in every row.
    """
    flags = values[:, [INDEX[name] for name in sorted(FLAGS)]]
    syn, psh = values[:, INDEX["syn_flag_count"]], values[:, INDEX["fwd_psh_flags"]]
    cwr, urg = values[:, INDEX["cwr_flag_count"]], values[:, INDEX["fwd_urg_flags"]]
    return bool((flags <= 1).all() and (syn == psh).all() and (cwr == urg).all() and flags.any())


def _frames_measured(values: Values) -> bool:
    """Whether lengths are those of frames, which none can be shorter than its headers, and not of payload."""
    return bool((values[:, INDEX["packet_length_min"]] >= SMALLEST_FRAME).all())


def _counts_subflows(values: Values, present: frozenset[str]) -> bool:
    """Whether a flow without gaps is one sub-flow, and not none."""
    if not present >= SUBFLOWS:
        return False
    no_gap = values[:, INDEX["flow_iat_max"]] <= SUBFLOW_GAP_US
    if not no_gap.any():
        return False
    return all(
        bool((values[no_gap, INDEX[f"subflow_{way}_packets"]] == values[no_gap, INDEX[f"{way}_packets"]]).all())
        for way in ("fwd", "bwd")
    )
