"""How a record enters the counts of its source, its target, both together, the pair with its service, and the service.

A record that comes late, as one does whose flow ended by a timeout, is weighed by its age. What a record carries is
taken as spread evenly over the time since the report before it.

Nobody can push out the rows of others by forging: no row is made for a flow without an answer, of a source that is
not known, on a target that many such sources flood, nor for whom a source asks in vain that sweeps many.
"""

import math

from flows.context import cells as c
from flows.context.facts import (
    BACK,
    END,
    FAIL,
    FIRST,
    LINK,
    NEW,
    PAIR,
    PORT,
    RECEIVED,
    SENT,
    SERVICE,
    SHARE,
    SOURCE,
    SPAN,
    START,
    TARGET,
    THERE,
    UNASKED,
    Amounts,
    Keys,
)
from flows.growth import grown
from kernels.fading import AT, Bits, Rows, row_of, see
from kernels.hosts import ABSENT
from kernels.jit import inner

SAME_EVENT_S = 1.0  # flows of a pair that begin within less are one event
EVENT_MEMORY = 1.0 - 1.0 / 16.0  # what a gap or a size weighs after one more
# A flood from forged sources and a sweep that finds nobody: so many flows without an answer in ten seconds, mostly of
# sources, or to targets, that were met for the first time.
FORGED = 100.0
MOSTLY = 0.8


@inner
def count(
    keys: Keys, amounts: Amounts, i: int, sources: Rows, targets: Rows, links: Rows, pairs: Rows, services: Rows,
    ports: Bits,
) -> None:  # fmt: skip
    """Count record i."""
    now = amounts[i, END]
    source, target = c.row_at(keys, i, SOURCE, sources), c.row_at(keys, i, TARGET, targets)
    in_vain = amounts[i, FAIL] > 0 or amounts[i, UNASKED] > 0
    forged = in_vain and target != ABSENT and is_flooded(target, now, targets)
    sweep = in_vain and source != ABSENT and is_sweeping(source, now, sources)
    link, pair = c.row_at(keys, i, LINK, links), c.row_at(keys, i, PAIR, pairs)
    service = c.row_at(keys, i, SERVICE, services)
    met, known = link == ABSENT, pair == ABSENT
    if source != ABSENT or not forged:
        source = row_of(keys[i, SOURCE], keys[i, SOURCE + 1], now, sources)
    if target != ABSENT or not sweep:
        target = row_of(keys[i, TARGET], keys[i, TARGET + 1], now, targets)
    admitted = not (forged or sweep)
    if link != ABSENT or admitted:
        link = row_of(keys[i, LINK], keys[i, LINK + 1], now, links)
    if pair != ABSENT or admitted:
        pair = row_of(keys[i, PAIR], keys[i, PAIR + 1], now, pairs)
    if service != ABSENT or admitted:
        service = row_of(keys[i, SERVICE], keys[i, SERVICE + 1], now, services)
    sent, received = amounts[i, SENT], amounts[i, RECEIVED]
    if pair != ABSENT:
        first, share = amounts[i, FIRST] > 0, amounts[i, SHARE]
        sent, received = grown(first, share, sent, received, amounts[i, START], pair, c.P_FLOW, pairs.cells)
    met_new, known_new = amounts[i, NEW] * met, amounts[i, NEW] * known
    if source != ABSENT:
        count_source(keys, amounts, i, source, met_new, known_new, sent, received, sources, ports)
    if target != ABSENT:
        count_target(keys, amounts, i, target, met_new, sent, received, targets)
    if link != ABSENT and known_new > 0:
        count_link(amounts, i, link, links)
    if pair != ABSENT:
        count_pair(amounts, i, pair, sent, received, pairs)
    if service != ABSENT and amounts[i, NEW] > 0:
        count_service(keys, amounts, i, service, known_new, services)


@inner
def is_flooded(target: int, now: float, targets: Rows) -> bool:
    """Whether most flows to a target are of sources that it never met, without an answer."""
    c.bring_target(target, now, targets)
    cells = targets.cells
    least = max(FORGED, MOSTLY * cells[target, c.T_FLOWS_10S])
    return bool(cells[target, c.T_FAILED_10S] + cells[target, c.T_UNASKED_10S] >= least) and bool(
        cells[target, c.T_SOURCES_10S] >= FORGED / 2
    )


@inner
def is_sweeping(source: int, now: float, sources: Rows) -> bool:
    """Whether most flows of a source are to targets that it never met, without an answer."""
    c.bring_source(source, now, sources)
    cells = sources.cells
    least = max(FORGED, MOSTLY * cells[source, c.S_FLOWS_10S])
    return bool(cells[source, c.S_FAILED_10S] >= least) and bool(cells[source, c.S_PEERS_10S] >= FORGED / 2)


@inner
def spread_over(seconds: float, memory: float) -> float:
    """Weight of what came evenly over the last seconds."""
    times = seconds / memory
    return (1.0 - math.exp(-times)) / times if times > 1e-6 else 1.0


@inner
def count_source(
    keys: Keys, amounts: Amounts, i: int, row: int, met: float, known: float, sent: float, received: float,
    table: Rows, ports: Bits,
) -> None:  # fmt: skip
    """met, known: 1 where its target, or the service there, is new to it."""
    c.bring_source(row, amounts[i, END], table)
    cells, new, failed, span = table.cells, amounts[i, NEW], amounts[i, FAIL], amounts[i, SPAN]
    late = cells[row, AT] - amounts[i, END]
    w1 = w10 = w60 = w600 = day = 1.0
    if late > 0.0:
        w1, w10, w60 = math.exp(-late / c.SECOND), math.exp(-late / c.TEN_S), math.exp(-late / c.MINUTE)
        w600, day = math.exp(-late / c.TEN_MINUTES), math.exp(-late / c.DAY)
    cells[row, c.S_PACKETS_10S] += w10 * spread_over(span, c.TEN_S) * amounts[i, THERE]
    spread = w600 * spread_over(span, c.TEN_MINUTES)
    cells[row, c.S_SENT_10M] += spread * sent
    cells[row, c.S_RECEIVED_10M] += spread * received
    cells[row, c.S_SENT_DAY] += day * sent
    cells[row, c.S_RECEIVED_DAY] += day * received
    if new == 0.0:
        return
    cells[row, c.S_FLOWS_1S] += w1
    cells[row, c.S_FLOWS_10S] += w10
    cells[row, c.S_FAILED_10S] += w10 * failed
    cells[row, c.S_PEERS_10S] += w10 * met
    cells[row, c.S_FLOWS_1M] += w60
    cells[row, c.S_SERVICES_1M] += w60 * known
    cells[row, c.S_FLOWS_10M] += w600
    cells[row, c.S_FAILED_10M] += w600 * failed
    cells[row, c.S_PEERS_10M] += w600 * met
    size = math.log(1.0 + amounts[i, SENT])
    cells[row, c.S_SIZES_10M] += w600 * size
    cells[row, c.S_SQUARES_10M] += w600 * size * size
    cells[row, c.S_FLOWS_DAY] += day
    cells[row, c.S_FAILED_DAY] += day * failed
    cells[row, c.S_PEERS_DAY] += day * met
    cells[row, c.S_MISSED_DAY] += day * known * failed
    now = cells[row, AT]
    see(keys[i, TARGET], keys[i, TARGET + 1], row, now, c.PEERS_S, c.S_PEERS_AT, cells, table.bits)
    see(0, keys[i, PORT], row, now, c.PEERS_S, c.S_PORTS_AT, cells, ports)


@inner
def count_target(
    keys: Keys, amounts: Amounts, i: int, row: int, met: float, sent: float, received: float, table: Rows
) -> None:
    """met: 1 where its source is new to it."""
    c.bring_target(row, amounts[i, END], table)
    cells, new, failed, span = table.cells, amounts[i, NEW], amounts[i, FAIL], amounts[i, SPAN]
    late = cells[row, AT] - amounts[i, END]
    w1 = w10 = w600 = 1.0
    if late > 0.0:
        w1, w10, w600 = math.exp(-late / c.SECOND), math.exp(-late / c.TEN_S), math.exp(-late / c.TEN_MINUTES)
    spread = w10 * spread_over(span, c.TEN_S)
    cells[row, c.T_UNASKED_10S] += spread * amounts[i, UNASKED]
    cells[row, c.T_IN_10S] += spread * amounts[i, THERE]
    cells[row, c.T_OUT_10S] += spread * amounts[i, BACK]
    spread = w600 * spread_over(span, c.TEN_MINUTES)
    cells[row, c.T_SENT_10M] += spread * sent
    cells[row, c.T_RECEIVED_10M] += spread * received
    if new == 0.0:
        return
    cells[row, c.T_FLOWS_1S] += w1
    cells[row, c.T_FLOWS_10S] += w10
    cells[row, c.T_FAILED_10S] += w10 * failed
    cells[row, c.T_SOURCES_10S] += w10 * met
    cells[row, c.T_FLOWS_10M] += w600
    cells[row, c.T_FAILED_10M] += w600 * failed
    cells[row, c.T_SOURCES_10M] += w600 * met
    see(keys[i, SOURCE], keys[i, SOURCE + 1], row, cells[row, AT], c.PEERS_S, c.T_SOURCES_AT, cells, table.bits)


@inner
def count_link(amounts: Amounts, i: int, row: int, table: Rows) -> None:
    """A service that its source tries for the first time."""
    c.bring_link(row, amounts[i, END], table)
    cells, late = table.cells, table.cells[row, AT] - amounts[i, END]
    day = math.exp(-late / c.DAY)
    cells[row, c.L_SERVICES_DAY] += day
    cells[row, c.L_MISSED_DAY] += day * amounts[i, FAIL]


@inner
def count_pair(amounts: Amounts, i: int, row: int, sent: float, received: float, table: Rows) -> None:
    c.bring_pair(row, amounts[i, END], table)
    cells, span = table.cells, amounts[i, SPAN]
    late = cells[row, AT] - amounts[i, END]
    w10 = w600 = day = 1.0
    if late > 0.0:
        w10, w600, day = math.exp(-late / c.TEN_S), math.exp(-late / c.TEN_MINUTES), math.exp(-late / c.DAY)
    packets = amounts[i, THERE] + amounts[i, BACK]
    cells[row, c.P_PACKETS_10S] += w10 * spread_over(span, c.TEN_S) * packets
    cells[row, c.P_SENT_DAY] += day * sent
    cells[row, c.P_RECEIVED_DAY] += day * received
    cells[row, c.P_PACKETS_DAY] += day * packets
    cells[row, c.P_OPEN_DAY] += day * span
    if amounts[i, NEW] == 0.0:
        return
    if cells[row, c.P_FLOWS_DAY] == 0.0:
        cells[row, c.P_SINCE] = cells[row, c.P_LAST] = amounts[i, START]
    gap = amounts[i, START] - cells[row, c.P_LAST]
    if gap >= SAME_EVENT_S:
        log_gap = math.log(gap)
        cells[row, c.P_GAPS] = EVENT_MEMORY * cells[row, c.P_GAPS] + 1.0
        cells[row, c.P_GAP_SUM] = EVENT_MEMORY * cells[row, c.P_GAP_SUM] + log_gap
        cells[row, c.P_GAP_SQUARES] = EVENT_MEMORY * cells[row, c.P_GAP_SQUARES] + log_gap * log_gap
        cells[row, c.P_LAST] = amounts[i, START]
    cells[row, c.P_FLOWS_10S] += w10
    cells[row, c.P_FLOWS_10M] += w600
    cells[row, c.P_FLOWS_DAY] += day
    size, answer = math.log(1.0 + amounts[i, SENT]), math.log(1.0 + amounts[i, RECEIVED])
    cells[row, c.P_SIZES] = EVENT_MEMORY * cells[row, c.P_SIZES] + 1.0
    cells[row, c.P_SENT_SUM] = EVENT_MEMORY * cells[row, c.P_SENT_SUM] + size
    cells[row, c.P_SENT_SQUARES] = EVENT_MEMORY * cells[row, c.P_SENT_SQUARES] + size * size
    cells[row, c.P_RECEIVED_SUM] = EVENT_MEMORY * cells[row, c.P_RECEIVED_SUM] + answer
    cells[row, c.P_RECEIVED_SQUARES] = EVENT_MEMORY * cells[row, c.P_RECEIVED_SQUARES] + answer * answer


@inner
def count_service(keys: Keys, amounts: Amounts, i: int, row: int, known: float, table: Rows) -> None:
    """known: 1 where the service is new to its source."""
    c.bring_service(row, amounts[i, END], table)
    cells, late = table.cells, table.cells[row, AT] - amounts[i, END]
    w10 = w600 = 1.0
    if late > 0.0:
        w10, w600 = math.exp(-late / c.TEN_S), math.exp(-late / c.TEN_MINUTES)
    cells[row, c.V_FLOWS_10S] += w10
    cells[row, c.V_SOURCES_10S] += w10 * known
    cells[row, c.V_FLOWS_10M] += w600
    cells[row, c.V_FAILED_10M] += w600 * amounts[i, FAIL]
    size = math.log(1.0 + amounts[i, SENT])
    cells[row, c.V_SIZES_10M] += w600 * size
    cells[row, c.V_SQUARES_10M] += w600 * size * size
    see(keys[i, SOURCE], keys[i, SOURCE + 1], row, cells[row, AT], c.PEERS_S, c.V_SOURCES_AT, cells, table.bits)
