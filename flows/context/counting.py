"""How a record enters the counts of its source, its target, both together, the pair with its service, and the service.

Each table counts in exponentially fading memory: what was counted t seconds ago weighs exp(−t / memory). A row's clock
is the newest end of what touched it: a record that comes late, as one does whose flow ended by a timeout, is weighed by
its age. What a record carries is taken as spread evenly over the time since the report before it.

Nobody can push out the rows of others by forging: no row is made for a flow without an answer, of a source that is
not known, on a target that many such sources flood, nor for whom a source asks in vain that sweeps many.
"""

import math

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
from flows.growth import FLOW_CELLS, grown
from kernels.fading import AT, Bits, Floats, Rows, fade, fetch_row, fetch_slot, row_of, see
from kernels.hosts import ABSENT, find
from kernels.jit import Word, inner

SECOND, TEN_S, MINUTE, TEN_MINUTES, DAY = 1.0, 10.0, 60.0, 600.0, 86400.0
MEMORIES = (SECOND, TEN_S, MINUTE, TEN_MINUTES, DAY)
PEERS_S = 600.0  # of the windows in which distinct peers are counted

# Cells of each table: AT, then those that fade, by memory, then those that do not. What fades is a number of flows
# unless it says another thing.
(
    _,
    S_FLOWS_1S,
    S_FLOWS_10S,
    S_FAILED_10S,
    S_PEERS_10S,  # targets that it met for the first time
    S_PACKETS_10S,  # sent
    S_FLOWS_1M,
    S_SERVICES_1M,  # services of targets that it met for the first time
    S_FLOWS_10M,
    S_FAILED_10M,
    S_PEERS_10M,
    S_SENT_10M,  # bytes
    S_RECEIVED_10M,
    S_SIZES_10M,  # sum of ln(1 + bytes that a flow sent), then of its square
    S_SQUARES_10M,
    S_FLOWS_DAY,
    S_FAILED_DAY,
    S_PEERS_DAY,
    S_MISSED_DAY,  # services met for the first time that did not answer
    S_SENT_DAY,
    S_RECEIVED_DAY,
    S_PEERS_AT,  # window of distinct targets
    S_PEERS,
    S_PEERS_BEFORE,
    S_PORTS_AT,  # window of distinct ports
    S_PORTS,
    S_PORTS_BEFORE,
    S_CELLS,
) = range(28)
(
    _,
    T_FLOWS_1S,
    T_FLOWS_10S,
    T_FAILED_10S,
    T_SOURCES_10S,  # sources that it met for the first time
    T_UNASKED_10S,  # packets
    T_IN_10S,  # packets to it
    T_OUT_10S,
    T_FLOWS_10M,
    T_FAILED_10M,
    T_SOURCES_10M,
    T_SENT_10M,  # bytes to it
    T_RECEIVED_10M,  # bytes from it
    T_SOURCES_AT,
    T_SOURCES,
    T_SOURCES_BEFORE,
    T_CELLS,
) = range(17)
_, L_SERVICES_DAY, L_MISSED_DAY, L_CELLS = range(4)
(
    _,
    P_FLOWS_10S,
    P_PACKETS_10S,  # both ways
    P_FLOWS_10M,
    P_FLOWS_DAY,
    P_SENT_DAY,  # bytes
    P_RECEIVED_DAY,
    P_PACKETS_DAY,
    P_OPEN_DAY,  # s that its flows lasted
    P_SINCE,  # when its first flow began
    P_LAST,  # when its newest flow began
    P_GAPS,  # gaps between them, each weighing less with every further one
    P_GAP_SUM,  # of their logarithms, then of the squares
    P_GAP_SQUARES,
    P_SIZES,  # flows, each weighing less with every further one
    P_SENT_SUM,  # of ln(1 + bytes that each sent in its first report), then of the squares
    P_SENT_SQUARES,
    P_RECEIVED_SUM,
    P_RECEIVED_SQUARES,
    P_FLOW,
) = range(20)
P_CELLS = P_FLOW + FLOW_CELLS
(
    _,
    V_FLOWS_10S,
    V_SOURCES_10S,
    V_FLOWS_10M,
    V_FAILED_10M,
    V_SIZES_10M,
    V_SQUARES_10M,
    V_SOURCES_AT,
    V_SOURCES,
    V_SOURCES_BEFORE,
    V_CELLS,
) = range(11)

FORGOTTEN = 40.0  # memories, after which a count weighs 4e-18
SAME_EVENT_S = 1.0  # flows of a pair that begin within less are one event
EVENT_MEMORY = 1.0 - 1.0 / 16.0  # what a gap or a size weighs after one more
# A flood from forged sources and a sweep that finds nobody: so many flows without an answer in ten seconds, mostly of
# sources, or to targets, that were met for the first time.
FORGED = 100.0
MOSTLY = 0.8


@inner
def bring(row: int, now: float, s1: int, s10: int, m1: int, m10: int, day: int, end: int, table: Rows) -> None:
    """Let a row's counts fade until now, unless it is ahead of it; where the cells of each memory begin, and end."""
    cells = table.cells
    seconds = now - cells[row, AT]
    if seconds <= 0.0:
        return
    _dim(cells, row, s1, s10, seconds / SECOND)
    _dim(cells, row, s10, m1, seconds / TEN_S)
    _dim(cells, row, m1, m10, seconds / MINUTE)
    _dim(cells, row, m10, day, seconds / TEN_MINUTES)
    _dim(cells, row, day, end, seconds / DAY)
    cells[row, AT] = now


@inner
def _dim(cells: Floats, row: int, first: int, end: int, times: float) -> None:
    """Fade, but to nothing where next to nothing is left: it would end in numbers too small to be quick."""
    if first == end:
        return
    if times < FORGOTTEN:
        fade(cells, row, first, end, times)
    else:
        cells[row, first:end] = 0.0


@inner
def bring_source(row: int, now: float, table: Rows) -> None:
    bring(row, now, S_FLOWS_1S, S_FLOWS_10S, S_FLOWS_1M, S_FLOWS_10M, S_FLOWS_DAY, S_PEERS_AT, table)


@inner
def bring_target(row: int, now: float, table: Rows) -> None:
    bring(row, now, T_FLOWS_1S, T_FLOWS_10S, T_FLOWS_10M, T_FLOWS_10M, T_SOURCES_AT, T_SOURCES_AT, table)


@inner
def bring_link(row: int, now: float, table: Rows) -> None:
    bring(row, now, L_SERVICES_DAY, L_SERVICES_DAY, L_SERVICES_DAY, L_SERVICES_DAY, L_SERVICES_DAY, L_CELLS, table)


@inner
def bring_pair(row: int, now: float, table: Rows) -> None:
    bring(row, now, P_FLOWS_10S, P_FLOWS_10S, P_FLOWS_10M, P_FLOWS_10M, P_FLOWS_DAY, P_SINCE, table)


@inner
def bring_service(row: int, now: float, table: Rows) -> None:
    bring(row, now, V_FLOWS_10S, V_FLOWS_10S, V_FLOWS_10M, V_FLOWS_10M, V_SOURCES_AT, V_SOURCES_AT, table)


@inner
def row_at(keys: Keys, i: int, key: int, table: Rows) -> Word:
    """Row of one of a record's keys, ABSENT where it has none."""
    return find(keys[i, key], keys[i, key + 1], table.slots, table.keys, table.seed)


@inner
def fetch_slots(
    keys: Keys, i: int, sources: Rows, targets: Rows, links: Rows, pairs: Rows, services: Rows
) -> None:  # fmt: skip
    """Ask for the slots of a record's keys."""
    fetch_slot(keys[i, SOURCE], keys[i, SOURCE + 1], sources)
    fetch_slot(keys[i, TARGET], keys[i, TARGET + 1], targets)
    fetch_slot(keys[i, LINK], keys[i, LINK + 1], links)
    fetch_slot(keys[i, PAIR], keys[i, PAIR + 1], pairs)
    fetch_slot(keys[i, SERVICE], keys[i, SERVICE + 1], services)


@inner
def fetch_rows(
    keys: Keys, i: int, sources: Rows, targets: Rows, links: Rows, pairs: Rows, services: Rows
) -> None:  # fmt: skip
    """Ask for the rows of a record's keys."""
    fetch_row(keys[i, SOURCE], keys[i, SOURCE + 1], sources)
    fetch_row(keys[i, TARGET], keys[i, TARGET + 1], targets)
    fetch_row(keys[i, LINK], keys[i, LINK + 1], links)
    fetch_row(keys[i, PAIR], keys[i, PAIR + 1], pairs)
    fetch_row(keys[i, SERVICE], keys[i, SERVICE + 1], services)


@inner
def count(
    keys: Keys, amounts: Amounts, i: int, sources: Rows, targets: Rows, links: Rows, pairs: Rows, services: Rows,
    ports: Bits,
) -> None:  # fmt: skip
    """Count record i."""
    now = amounts[i, END]
    source, target = row_at(keys, i, SOURCE, sources), row_at(keys, i, TARGET, targets)
    in_vain = amounts[i, FAIL] > 0 or amounts[i, UNASKED] > 0
    forged = in_vain and target != ABSENT and is_flooded(target, now, targets)
    sweep = in_vain and source != ABSENT and is_sweeping(source, now, sources)
    link, pair = row_at(keys, i, LINK, links), row_at(keys, i, PAIR, pairs)
    service = row_at(keys, i, SERVICE, services)
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
        sent, received = grown(first, share, sent, received, amounts[i, START], pair, P_FLOW, pairs.cells)
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
    bring_target(target, now, targets)
    cells = targets.cells
    least = max(FORGED, MOSTLY * cells[target, T_FLOWS_10S])
    return bool(cells[target, T_FAILED_10S] + cells[target, T_UNASKED_10S] >= least) and bool(
        cells[target, T_SOURCES_10S] >= FORGED / 2
    )


@inner
def is_sweeping(source: int, now: float, sources: Rows) -> bool:
    """Whether most flows of a source are to targets that it never met, without an answer."""
    bring_source(source, now, sources)
    cells = sources.cells
    least = max(FORGED, MOSTLY * cells[source, S_FLOWS_10S])
    return bool(cells[source, S_FAILED_10S] >= least) and bool(cells[source, S_PEERS_10S] >= FORGED / 2)


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
    bring_source(row, amounts[i, END], table)
    cells, new, failed, span = table.cells, amounts[i, NEW], amounts[i, FAIL], amounts[i, SPAN]
    late = cells[row, AT] - amounts[i, END]
    w1 = w10 = w60 = w600 = day = 1.0
    if late > 0.0:
        w1, w10, w60 = math.exp(-late / SECOND), math.exp(-late / TEN_S), math.exp(-late / MINUTE)
        w600, day = math.exp(-late / TEN_MINUTES), math.exp(-late / DAY)
    cells[row, S_PACKETS_10S] += w10 * spread_over(span, TEN_S) * amounts[i, THERE]
    spread = w600 * spread_over(span, TEN_MINUTES)
    cells[row, S_SENT_10M] += spread * sent
    cells[row, S_RECEIVED_10M] += spread * received
    cells[row, S_SENT_DAY] += day * sent
    cells[row, S_RECEIVED_DAY] += day * received
    if new == 0.0:
        return
    cells[row, S_FLOWS_1S] += w1
    cells[row, S_FLOWS_10S] += w10
    cells[row, S_FAILED_10S] += w10 * failed
    cells[row, S_PEERS_10S] += w10 * met
    cells[row, S_FLOWS_1M] += w60
    cells[row, S_SERVICES_1M] += w60 * known
    cells[row, S_FLOWS_10M] += w600
    cells[row, S_FAILED_10M] += w600 * failed
    cells[row, S_PEERS_10M] += w600 * met
    size = math.log(1.0 + amounts[i, SENT])
    cells[row, S_SIZES_10M] += w600 * size
    cells[row, S_SQUARES_10M] += w600 * size * size
    cells[row, S_FLOWS_DAY] += day
    cells[row, S_FAILED_DAY] += day * failed
    cells[row, S_PEERS_DAY] += day * met
    cells[row, S_MISSED_DAY] += day * known * failed
    now = cells[row, AT]
    see(keys[i, TARGET], keys[i, TARGET + 1], row, now, PEERS_S, S_PEERS_AT, cells, table.bits)
    see(0, keys[i, PORT], row, now, PEERS_S, S_PORTS_AT, cells, ports)


@inner
def count_target(
    keys: Keys, amounts: Amounts, i: int, row: int, met: float, sent: float, received: float, table: Rows
) -> None:
    """met: 1 where its source is new to it."""
    bring_target(row, amounts[i, END], table)
    cells, new, failed, span = table.cells, amounts[i, NEW], amounts[i, FAIL], amounts[i, SPAN]
    late = cells[row, AT] - amounts[i, END]
    w1 = w10 = w600 = 1.0
    if late > 0.0:
        w1, w10, w600 = math.exp(-late / SECOND), math.exp(-late / TEN_S), math.exp(-late / TEN_MINUTES)
    spread = w10 * spread_over(span, TEN_S)
    cells[row, T_UNASKED_10S] += spread * amounts[i, UNASKED]
    cells[row, T_IN_10S] += spread * amounts[i, THERE]
    cells[row, T_OUT_10S] += spread * amounts[i, BACK]
    spread = w600 * spread_over(span, TEN_MINUTES)
    cells[row, T_SENT_10M] += spread * sent
    cells[row, T_RECEIVED_10M] += spread * received
    if new == 0.0:
        return
    cells[row, T_FLOWS_1S] += w1
    cells[row, T_FLOWS_10S] += w10
    cells[row, T_FAILED_10S] += w10 * failed
    cells[row, T_SOURCES_10S] += w10 * met
    cells[row, T_FLOWS_10M] += w600
    cells[row, T_FAILED_10M] += w600 * failed
    cells[row, T_SOURCES_10M] += w600 * met
    see(keys[i, SOURCE], keys[i, SOURCE + 1], row, cells[row, AT], PEERS_S, T_SOURCES_AT, cells, table.bits)


@inner
def count_link(amounts: Amounts, i: int, row: int, table: Rows) -> None:
    """A service that its source tries for the first time."""
    bring_link(row, amounts[i, END], table)
    cells, late = table.cells, table.cells[row, AT] - amounts[i, END]
    day = math.exp(-late / DAY)
    cells[row, L_SERVICES_DAY] += day
    cells[row, L_MISSED_DAY] += day * amounts[i, FAIL]


@inner
def count_pair(amounts: Amounts, i: int, row: int, sent: float, received: float, table: Rows) -> None:
    bring_pair(row, amounts[i, END], table)
    cells, span = table.cells, amounts[i, SPAN]
    late = cells[row, AT] - amounts[i, END]
    w10 = w600 = day = 1.0
    if late > 0.0:
        w10, w600, day = math.exp(-late / TEN_S), math.exp(-late / TEN_MINUTES), math.exp(-late / DAY)
    packets = amounts[i, THERE] + amounts[i, BACK]
    cells[row, P_PACKETS_10S] += w10 * spread_over(span, TEN_S) * packets
    cells[row, P_SENT_DAY] += day * sent
    cells[row, P_RECEIVED_DAY] += day * received
    cells[row, P_PACKETS_DAY] += day * packets
    cells[row, P_OPEN_DAY] += day * span
    if amounts[i, NEW] == 0.0:
        return
    if cells[row, P_FLOWS_DAY] == 0.0:
        cells[row, P_SINCE] = cells[row, P_LAST] = amounts[i, START]
    gap = amounts[i, START] - cells[row, P_LAST]
    if gap >= SAME_EVENT_S:
        log_gap = math.log(gap)
        cells[row, P_GAPS] = EVENT_MEMORY * cells[row, P_GAPS] + 1.0
        cells[row, P_GAP_SUM] = EVENT_MEMORY * cells[row, P_GAP_SUM] + log_gap
        cells[row, P_GAP_SQUARES] = EVENT_MEMORY * cells[row, P_GAP_SQUARES] + log_gap * log_gap
        cells[row, P_LAST] = amounts[i, START]
    cells[row, P_FLOWS_10S] += w10
    cells[row, P_FLOWS_10M] += w600
    cells[row, P_FLOWS_DAY] += day
    size, answer = math.log(1.0 + amounts[i, SENT]), math.log(1.0 + amounts[i, RECEIVED])
    cells[row, P_SIZES] = EVENT_MEMORY * cells[row, P_SIZES] + 1.0
    cells[row, P_SENT_SUM] = EVENT_MEMORY * cells[row, P_SENT_SUM] + size
    cells[row, P_SENT_SQUARES] = EVENT_MEMORY * cells[row, P_SENT_SQUARES] + size * size
    cells[row, P_RECEIVED_SUM] = EVENT_MEMORY * cells[row, P_RECEIVED_SUM] + answer
    cells[row, P_RECEIVED_SQUARES] = EVENT_MEMORY * cells[row, P_RECEIVED_SQUARES] + answer * answer


@inner
def count_service(keys: Keys, amounts: Amounts, i: int, row: int, known: float, table: Rows) -> None:
    """known: 1 where the service is new to its source."""
    bring_service(row, amounts[i, END], table)
    cells, late = table.cells, table.cells[row, AT] - amounts[i, END]
    w10 = w600 = 1.0
    if late > 0.0:
        w10, w600 = math.exp(-late / TEN_S), math.exp(-late / TEN_MINUTES)
    cells[row, V_FLOWS_10S] += w10
    cells[row, V_SOURCES_10S] += w10 * known
    cells[row, V_FLOWS_10M] += w600
    cells[row, V_FAILED_10M] += w600 * amounts[i, FAIL]
    size = math.log(1.0 + amounts[i, SENT])
    cells[row, V_SIZES_10M] += w600 * size
    cells[row, V_SQUARES_10M] += w600 * size * size
    see(keys[i, SOURCE], keys[i, SOURCE + 1], row, cells[row, AT], PEERS_S, V_SOURCES_AT, cells, table.bits)
