"""What a record sees of the counts before it: the columns of flows.context.columns, of the row of each of its keys."""

import math

import numpy as np
from numpy.typing import NDArray

from flows.context import cells as c
from flows.context.facts import END, LINK, PAIR, SENT, SERVICE, SOURCE, START, TARGET, Amounts, Keys
from kernels.fading import Floats, Rows, seen
from kernels.hosts import ABSENT
from kernels.jit import inner

# Places of the columns, in their order.
(
    SRC_FLOWS_1S,
    SRC_FLOWS_10S,
    SRC_FLOWS_1M,
    SRC_FLOWS_10M,
    SRC_SURGE,
    SRC_FAILED_SHARE_10S,
    SRC_FAILED_SHARE_10M,
    SRC_FAILED_SHARE_DAY,
    SRC_NEW_PEERS_10M,
    SRC_NEW_PEERS_DAY,
    SRC_NEW_PEER_SHARE_10M,
    SRC_NEW_SERVICES_1M,
    SRC_MISSED_DAY,
    SRC_PEERS_10M,
    SRC_PORTS_10M,
    SRC_PEERS_PER_PORT_10M,
    SRC_PACKETS_10S,
    SRC_SENT_SHARE_10M,
    SRC_SENT_SHARE_DAY,
    SRC_SIZE_SPREAD_10M,
    DST_FLOWS_1S,
    DST_FLOWS_10S,
    DST_FLOWS_10M,
    DST_SURGE,
    DST_FAILED_SHARE_10S,
    DST_FAILED_SHARE_10M,
    DST_NEW_SOURCES_10S,
    DST_NEW_SOURCE_SHARE_10S,
    DST_NEW_SOURCES_10M,
    DST_SOURCES_10M,
    DST_FLOWS_PER_SOURCE_10M,
    DST_UNASKED_SHARE_10S,
    DST_PACKETS_IN_10S,
    DST_PACKETS_IN_SHARE_10S,
    DST_RECEIVED_SHARE_10M,
    LINK_NEW_SERVICES_DAY,
    LINK_MISSED_SHARE_DAY,
    PAIR_AGE,
    PAIR_FLOWS_10S,
    PAIR_FLOWS_10M,
    PAIR_FLOWS_DAY,
    PAIR_PACKETS_10S,
    PAIR_GAPS,
    PAIR_GAP_MEAN,
    PAIR_GAP_SPREAD,
    PAIR_SENT_SPREAD,
    PAIR_RECEIVED_SPREAD,
    PAIR_SENT_DEVIATION,
    PAIR_SENT_MEAN,
    PAIR_RECEIVED_MEAN,
    PAIR_SENT_DAY,
    PAIR_SENT_SHARE_DAY,
    PAIR_PACKET_BYTES_DAY,
    PAIR_OPEN_DAY,
    SVC_FLOWS_10M,
    SVC_SURGE,
    SVC_NEW_SOURCE_SHARE_10S,
    SVC_FAILED_SHARE_10M,
    SVC_SENT_SPREAD_10M,
    SVC_SOURCES_10M,
    CONTEXT_WIDTH,
) = range(61)

CARRIED = 1000.0  # bytes that a share of bytes must exceed to say much


@inner
def share(part: float, whole: float) -> float:
    """A share of flows or packets, less where there are hardly any."""
    return part / (1.0 + whole)


@inner
def surge(soon: float, long: float) -> float:
    """The rate over 10 s by that over 600 s."""
    return (1.0 + soon) / (1.0 + long / 60.0)


@inner
def spread(n: float, total: float, squares: float, prior: float) -> float:
    """Deviation of n numbers by their sum and their squares', and of so many more that deviate by 1."""
    if n <= 0.0:
        return 1.0
    inside = max(squares - total * total / n, 0.0)
    return math.sqrt((inside + prior) / (n + prior))


@inner
def write_row(
    keys: Keys, amounts: Amounts, i: int, sources: Rows, targets: Rows, links: Rows, pairs: Rows, services: Rows,
    out: NDArray[np.float64], o: int,
) -> None:  # fmt: skip
    """Columns of record i into row o."""
    now = amounts[i, END]
    for column in range(CONTEXT_WIDTH):
        out[o, column] = 0.0
    out[o, SRC_SURGE] = out[o, DST_SURGE] = out[o, SVC_SURGE] = out[o, SRC_PEERS_PER_PORT_10M] = 1.0
    out[o, SRC_SIZE_SPREAD_10M] = out[o, SVC_SENT_SPREAD_10M] = 1.0
    out[o, PAIR_GAP_SPREAD] = out[o, PAIR_SENT_SPREAD] = out[o, PAIR_RECEIVED_SPREAD] = 1.0
    row = c.row_at(keys, i, SOURCE, sources)
    if row != ABSENT:
        c.bring_source(row, now, sources)
        write_source(row, sources.cells, out, o)
    row = c.row_at(keys, i, TARGET, targets)
    if row != ABSENT:
        c.bring_target(row, now, targets)
        write_target(row, targets.cells, out, o)
    row = c.row_at(keys, i, LINK, links)
    if row != ABSENT:
        c.bring_link(row, now, links)
        cells = links.cells
        out[o, LINK_NEW_SERVICES_DAY] = cells[row, c.L_SERVICES_DAY]
        out[o, LINK_MISSED_SHARE_DAY] = share(cells[row, c.L_MISSED_DAY], cells[row, c.L_SERVICES_DAY])
    row = c.row_at(keys, i, PAIR, pairs)
    if row != ABSENT:
        c.bring_pair(row, now, pairs)
        write_pair(row, amounts[i, START], amounts[i, SENT], pairs.cells, out, o)
    row = c.row_at(keys, i, SERVICE, services)
    if row != ABSENT:
        c.bring_service(row, now, services)
        write_service(row, services.cells, out, o)


@inner
def write_source(row: int, cells: Floats, out: Floats, o: int) -> None:
    """What the source did."""
    flows = cells[row, c.S_FLOWS_10M]
    out[o, SRC_FLOWS_1S] = cells[row, c.S_FLOWS_1S]
    out[o, SRC_FLOWS_10S] = cells[row, c.S_FLOWS_10S]
    out[o, SRC_FLOWS_1M] = cells[row, c.S_FLOWS_1M]
    out[o, SRC_FLOWS_10M] = flows
    out[o, SRC_SURGE] = surge(cells[row, c.S_FLOWS_10S], flows)
    out[o, SRC_FAILED_SHARE_10S] = share(cells[row, c.S_FAILED_10S], cells[row, c.S_FLOWS_10S])
    out[o, SRC_FAILED_SHARE_10M] = share(cells[row, c.S_FAILED_10M], flows)
    out[o, SRC_FAILED_SHARE_DAY] = share(cells[row, c.S_FAILED_DAY], cells[row, c.S_FLOWS_DAY])
    out[o, SRC_NEW_PEERS_10M] = cells[row, c.S_PEERS_10M]
    out[o, SRC_NEW_PEERS_DAY] = cells[row, c.S_PEERS_DAY]
    out[o, SRC_NEW_PEER_SHARE_10M] = share(cells[row, c.S_PEERS_10M], flows)
    out[o, SRC_NEW_SERVICES_1M] = cells[row, c.S_SERVICES_1M]
    out[o, SRC_MISSED_DAY] = cells[row, c.S_MISSED_DAY]
    peers, ports = seen(row, c.S_PEERS_AT, cells), seen(row, c.S_PORTS_AT, cells)
    out[o, SRC_PEERS_10M] = peers
    out[o, SRC_PORTS_10M] = ports
    out[o, SRC_PEERS_PER_PORT_10M] = (1.0 + peers) / (1.0 + ports)
    out[o, SRC_PACKETS_10S] = cells[row, c.S_PACKETS_10S]
    sent, received = cells[row, c.S_SENT_10M], cells[row, c.S_RECEIVED_10M]
    out[o, SRC_SENT_SHARE_10M] = sent / (CARRIED + sent + received)
    sent, received = cells[row, c.S_SENT_DAY], cells[row, c.S_RECEIVED_DAY]
    out[o, SRC_SENT_SHARE_DAY] = sent / (CARRIED + sent + received)
    out[o, SRC_SIZE_SPREAD_10M] = spread(flows, cells[row, c.S_SIZES_10M], cells[row, c.S_SQUARES_10M], 1.0)


@inner
def write_target(row: int, cells: Floats, out: Floats, o: int) -> None:
    """What was done to the target."""
    soon, flows, packets = cells[row, c.T_FLOWS_10S], cells[row, c.T_FLOWS_10M], cells[row, c.T_IN_10S]
    out[o, DST_FLOWS_1S] = cells[row, c.T_FLOWS_1S]
    out[o, DST_FLOWS_10S] = soon
    out[o, DST_FLOWS_10M] = flows
    out[o, DST_SURGE] = surge(soon, flows)
    out[o, DST_FAILED_SHARE_10S] = share(cells[row, c.T_FAILED_10S], soon)
    out[o, DST_FAILED_SHARE_10M] = share(cells[row, c.T_FAILED_10M], flows)
    out[o, DST_NEW_SOURCES_10S] = cells[row, c.T_SOURCES_10S]
    out[o, DST_NEW_SOURCE_SHARE_10S] = share(cells[row, c.T_SOURCES_10S], soon)
    out[o, DST_NEW_SOURCES_10M] = cells[row, c.T_SOURCES_10M]
    sources = seen(row, c.T_SOURCES_AT, cells)
    out[o, DST_SOURCES_10M] = sources
    out[o, DST_FLOWS_PER_SOURCE_10M] = flows / (1.0 + sources)
    out[o, DST_UNASKED_SHARE_10S] = share(cells[row, c.T_UNASKED_10S], packets)
    out[o, DST_PACKETS_IN_10S] = packets
    out[o, DST_PACKETS_IN_SHARE_10S] = share(packets, packets + cells[row, c.T_OUT_10S])
    sent, received = cells[row, c.T_SENT_10M], cells[row, c.T_RECEIVED_10M]
    out[o, DST_RECEIVED_SHARE_10M] = sent / (CARRIED + sent + received)


@inner
def write_pair(row: int, started: float, sent: float, cells: Floats, out: Floats, o: int) -> None:
    """What the source did with the service. started, sent: of the record."""
    flows, gaps, sizes = cells[row, c.P_FLOWS_10M], cells[row, c.P_GAPS], cells[row, c.P_SIZES]
    if cells[row, c.P_FLOWS_DAY] > 0.0:
        out[o, PAIR_AGE] = max(started - cells[row, c.P_SINCE], 0.0)
        if gaps > 0.0:
            mean = cells[row, c.P_GAP_SUM] / gaps
            out[o, PAIR_GAP_MEAN] = math.exp(mean)
    out[o, PAIR_GAPS] = gaps
    out[o, PAIR_GAP_SPREAD] = spread(gaps, cells[row, c.P_GAP_SUM], cells[row, c.P_GAP_SQUARES], 2.0)
    out[o, PAIR_FLOWS_10S] = cells[row, c.P_FLOWS_10S]
    out[o, PAIR_FLOWS_10M] = flows
    out[o, PAIR_FLOWS_DAY] = cells[row, c.P_FLOWS_DAY]
    out[o, PAIR_PACKETS_10S] = cells[row, c.P_PACKETS_10S]
    out[o, PAIR_SENT_SPREAD] = spread(sizes, cells[row, c.P_SENT_SUM], cells[row, c.P_SENT_SQUARES], 1.0)
    out[o, PAIR_RECEIVED_SPREAD] = spread(sizes, cells[row, c.P_RECEIVED_SUM], cells[row, c.P_RECEIVED_SQUARES], 1.0)
    if sizes > 0.0:
        mean = cells[row, c.P_SENT_SUM] / sizes
        out[o, PAIR_SENT_DEVIATION] = abs(math.log(1.0 + sent) - mean)
        out[o, PAIR_SENT_MEAN] = math.exp(mean) - 1.0
        out[o, PAIR_RECEIVED_MEAN] = math.exp(cells[row, c.P_RECEIVED_SUM] / sizes) - 1.0
    to, back = cells[row, c.P_SENT_DAY], cells[row, c.P_RECEIVED_DAY]
    out[o, PAIR_SENT_DAY] = to
    out[o, PAIR_SENT_SHARE_DAY] = to / (CARRIED + to + back)
    out[o, PAIR_PACKET_BYTES_DAY] = share(to + back, cells[row, c.P_PACKETS_DAY])
    out[o, PAIR_OPEN_DAY] = cells[row, c.P_OPEN_DAY]


@inner
def write_service(row: int, cells: Floats, out: Floats, o: int) -> None:
    """What was done to the service."""
    soon, flows = cells[row, c.V_FLOWS_10S], cells[row, c.V_FLOWS_10M]
    out[o, SVC_FLOWS_10M] = flows
    out[o, SVC_SURGE] = surge(soon, flows)
    out[o, SVC_NEW_SOURCE_SHARE_10S] = share(cells[row, c.V_SOURCES_10S], soon)
    out[o, SVC_FAILED_SHARE_10M] = share(cells[row, c.V_FAILED_10M], flows)
    out[o, SVC_SENT_SPREAD_10M] = spread(flows, cells[row, c.V_SIZES_10M], cells[row, c.V_SQUARES_10M], 1.0)
    sources = seen(row, c.V_SOURCES_AT, cells)
    out[o, SVC_SOURCES_10M] = sources
