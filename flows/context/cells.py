"""Cells of the tables of sources, targets, both together, pairs and services: what a row holds, and how it fades.

Each table counts in exponentially fading memory: what was counted t seconds ago weighs exp(−t / memory). A row's clock
is the newest end of what touched it. Who counts (flows.context.counting) and who reads (flows.context.rows) have a row
brought to their time first.
"""

from flows.context.facts import LINK, PAIR, SERVICE, SOURCE, TARGET, Keys
from flows.growth import FLOW_CELLS
from kernels.fading import AT, Floats, Rows, fade, fetch_row, fetch_slot
from kernels.hosts import find
from kernels.jit import Word, inner

SECOND, TEN_S, MINUTE, TEN_MINUTES, DAY = 1.0, 10.0, 60.0, 600.0, 86400.0
PEERS_S = 600.0  # of the windows in which distinct peers are counted
FORGOTTEN = 40.0  # memories, after which a count weighs 4e-18

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
