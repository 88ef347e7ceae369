"""Published values made what this product's meter emits, where the published program is known to write something else.

Every repair works in place and counts, by reason, the values it changed.
Sources: Sharafaldin, Lashkari, Ghorbani 2018; Engelen, Rimmer, Joosen 2021; Liu, Engelen, Lynar, Essam, Joosen 2022;
CICFlowMeter's history, commits eaa853d (2018-02) to 98a5eba (2022).
"""

import numpy as np

from flows.columns import COLUMNS, INDEX
from training.arrays import Int64s, Mask, Values
from training.datasets.programs import US_IN_A_SECOND
from training.datasets.text import Repairs

TCP, UDP = 6.0, 17.0
UDP_HEADER = 8
RATES = ("flow_bytes_per_s", "flow_packets_per_s", "fwd_packets_per_s", "bwd_packets_per_s")
TIMES = tuple(column.name for column in COLUMNS if column.unit == "µs")
# What the tables of 2017 hold under each flag's name: the program printed a hash map by the order of its buckets.
PRINTED_FLAGS: dict[str, str] = {
    "fin": "rst", "syn": "psh", "rst": "ece", "psh": "syn", "ack": "ack", "urg": "fin", "cwr": "urg", "ece": "cwr",
}  # fmt: skip


def repair(values: Values, repairs: Repairs) -> None:
    """Undo what every published Java table has, the corrected ones too.

    values: (n, c) float64 in the order of flows.columns.COLUMNS.
    """
    column = _columns(values)
    still = column["flow_duration"] <= 0
    for name in RATES:
        _fill(column[name], still, 0.0, f"{name} without duration -> 0", repairs)
    tcp = column["protocol"] == TCP
    _fill(column["fwd_init_win_bytes"], ~tcp, -1.0, "fwd_init_win_bytes of no TCP packet -> -1", repairs)
    no_answer = ~tcp | (column["bwd_packets"] == 0)
    _fill(column["bwd_last_win_bytes"], no_answer, -1.0, "bwd_last_win_bytes of no TCP packet -> -1", repairs)
    # The published program does not look at a flow's first packet; where even the smallest has payload, all have.
    all_data = (column["fwd_packet_length_min"] > 0) & (column["fwd_packets"] > 0)
    _fill(
        column["fwd_act_data_packets"],
        all_data,
        column["fwd_packets"],
        "fwd_act_data_packets without the first packet -> all",
        repairs,
    )
    for way in ("fwd", "bwd"):
        _unwrap_headers(column[f"{way}_header_length"], column[f"{way}_packets"], tcp, way, repairs)
    # 0 where the program turned the flow around after its first packet; no TCP header is under 20 bytes.
    mean_header = column["fwd_header_length"] / np.maximum(column["fwd_packets"], 1)
    smallest = np.clip(mean_header // 4 * 4, 20, 32)
    _fill(
        column["fwd_seg_size_min"],
        tcp & (column["fwd_seg_size_min"] < 20),
        smallest,
        "fwd_seg_size_min 0 on TCP -> from the mean",
        repairs,
    )


def repair_missing_windows(values: Values, repairs: Repairs) -> None:
    """Tell no window from a window of 0, in tables of a corrected meter: some dialects write 0 for both."""
    column = _columns(values)
    for way in ("fwd", "bwd"):
        name = f"{way}_init_win_bytes"
        none = (column["protocol"] != TCP) | (column[f"{way}_packets"] == 0)
        _fill(column[name], none, -1.0, f"{name} of no TCP packet -> -1", repairs)
    for name in RATES:
        _fill(column[name], column["flow_duration"] <= 0, 0.0, f"{name} without duration -> 0", repairs)


def repair_missing_protocols(values: Values, dst_port: Int64s, repairs: Repairs) -> None:
    """Tell protocols that a table of 2017 does not have: a TCP flow has a window, a UDP flow a port and no window.

    dst_port: (n,) int64. The others are 0, that program's word for any protocol it does not know.
    """
    windowless = values[:, INDEX["fwd_init_win_bytes"]] < 0
    values[:, INDEX["protocol"]] = np.where(~windowless, TCP, np.where(dst_port != 0, UDP, 0.0))
    repairs["protocols that the header lacks -> by TCP windows and ports"] += len(values)


def repair_flag_order(values: Values, repairs: Repairs) -> None:
    """Put the flag counts of a table of 2017 under their own names. They are still those of the first packet alone."""
    before = {flag: values[:, INDEX[f"{flag}_flag_count"]].copy() for flag in PRINTED_FLAGS}
    changed = np.zeros(len(values), dtype=np.bool_)
    for name, flag in PRINTED_FLAGS.items():
        changed |= before[name] != before[flag]
        values[:, INDEX[f"{flag}_flag_count"]] = before[name]
    repairs["rows whose flag counts stood under other flags' names"] += int(changed.sum())


def repair_first_packet(values: Values, repairs: Repairs) -> None:
    """Take the length of the first packet, which the Java program adds twice, out of mean, deviation and size.

    With n packets of sum s and the program's mean m over n + 1, the first packet's length is m (n + 1) − s.
    """
    column = _columns(values)
    n = column["fwd_packets"] + column["bwd_packets"]
    total = column["fwd_bytes"] + column["bwd_bytes"]
    mean, deviation = column["packet_length_mean"], column["packet_length_std"]
    several = n > 0
    count = np.maximum(n, 1)
    first = mean * (count + 1) - total
    squares = deviation**2 * count + (count + 1) * mean**2 - first**2
    variance = np.maximum(squares - total**2 / count, 0) / np.maximum(count - 1, 1)
    variance[(n < 2) | (column["packet_length_min"] == column["packet_length_max"])] = 0
    reason = "first packet counted twice -> once"
    for name, value in (
        ("packet_length_mean", total / count),
        ("average_packet_size", total / count),
        ("packet_length_variance", variance),
        ("packet_length_std", np.sqrt(variance)),
    ):
        _fill(column[name], several, value, f"{name}: {reason}", repairs)


def repair_negatives(values: Values, repairs: Repairs) -> None:
    """Undo negative lengths of UDP headers and times that ran backward, both of 2017; runs before `repair`."""
    column = _columns(values)
    udp = column["protocol"] == UDP
    for way in ("fwd", "bwd"):
        header, packets = column[f"{way}_header_length"], column[f"{way}_packets"]
        reason = f"{way}_header_length negative on UDP -> 8 a packet"
        _fill(header, udp & (header < 0), UDP_HEADER * packets, reason, repairs)
    smallest = column["fwd_seg_size_min"]
    reason = "fwd_seg_size_min negative on UDP -> 8"
    _fill(smallest, udp & (smallest < 0), np.where(column["fwd_packets"] > 0, UDP_HEADER, 0.0), reason, repairs)
    for name in TIMES:
        _fill(column[name], column[name] < 0, 0.0, f"{name} negative -> 0", repairs)


def repair_seconds(values: Values, repairs: Repairs) -> None:
    """Bring times in seconds, of Python's cicflowmeter from 0.4 on, to µs."""
    for name in TIMES:
        values[:, INDEX[name]] *= US_IN_A_SECOND
    repairs["rows with times in seconds -> µs"] += len(values)


def _columns(values: Values) -> dict[str, Values]:
    return {name: values[:, i] for name, i in INDEX.items()}


def _fill(column: Values, where: Mask, value: float | Values, reason: str, repairs: Repairs) -> None:
    new = np.where(where, value, column)
    repairs[reason] += int((~np.equal(new, column)).sum())
    column[:] = new


def _unwrap_headers(header: Values, packets: Values, tcp: Mask, way: str, repairs: Repairs) -> None:
    """Undo the 16-bit overflow of a sum of headers: TCP headers average 20 bytes bare, 32 with timestamps."""
    wrapped = tcp & (header < 20 * packets)
    candidates = [header + np.round((size * packets - header) / 65536) * 65536 for size in (20, 32)]
    distance = [np.abs(value - size * packets) for value, size in zip(candidates, (20, 32), strict=True)]
    unwrapped = np.where(distance[0] < distance[1], candidates[0], candidates[1])
    _fill(header, wrapped, unwrapped, f"{way}_header_length wrapped at 16 bits -> unwrapped", repairs)
