"""Bounded tables of counts that fade: of hosts, of what a source tried, of pairs, and of services."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.batch import DST_HIGH, DST_LOW, DST_PORT, IP_VERSION, PROTOCOL, SRC_HIGH, SRC_LOW, SRC_PORT, Identity
from flows.jit import Word, inner
from models.hosts import ABSENT, admit, find, host_table, mixed, touch
from sensor.episodes.roles import UDP

Int64s = NDArray[np.int64]
Floats = NDArray[np.float64]

# Columns of a table's cells; a column counts flows of about so many seconds, unless it says another thing.
AT = 0  # when the row was last brought up to date, in all tables
(
    _,
    H_HIT_10S,  # flows without data that hit this host
    H_TALK_10S,  # flows with data that it took part in
    H_ANSWERS_10S,  # packets of answers that it did not ask for
    H_SOURCES_AT,  # when its bitmap of sources began
    H_SOURCES,  # bits set in it
    H_SOURCES_BEFORE,  # bits set in the one before
    H_REGULAR,  # pairs of this source that have a beat, never fading
    H_OUTWARD,  # pairs of this source that send much or keep a connection open, never fading
    H_LOAD_AT,  # packets of flows to this host in a window (load): when it began
    H_LOAD,  # those in it
    H_LAST_LOAD_AT,  # the same of the window before it
    H_LAST_LOAD,
    H_LOAD_BEFORE,  # those of the ten minutes before both
    H_LOAD_SINCE,  # when the host came into view
    H_CELLS,
) = range(16)
_, S_FAILED_10M, S_OPENED_10M, S_FAILED_DAY, S_OPENED_DAY, S_WITHOUT_1S, S_CELLS = range(7)
(
    _,
    P_FLOWS,  # all, never fading
    P_WITHOUT_10S,  # without data
    P_LIKE_10M,  # short sessions, then the sum of the logarithm of what they sent, and of its square
    P_SUM,
    P_SQUARES,
    P_GUESSES_10M,  # that the known lane took for guessing
    P_OVERLOAD_10S,  # that the known lane took for denial of service
    P_SLOW_2M,  # of these, those that hardly send
    P_QUESTIONS_1M,  # of DNS in flows of their own, then their bytes
    P_ASKED_BYTES,
    P_SENT_DAY,  # bytes of TCP
    P_RECEIVED_DAY,
    P_STARTS,  # of connections that are kept
    P_BEAT,  # 1 once they were regular
    P_PACKETS,  # of TCP
    P_OUTWARD,  # 1 once it counted among those that send much or keep a connection open
    P_SINCE,  # when the first of its flows began
    P_FLOW,  # start of the flow that was reported last, the bytes that it had sent by then, and those received
    P_FLOW_SENT,
    P_FLOW_RECEIVED,
    P_CELLS,
) = range(22)
(
    _,
    V_LIKE_10M,
    V_SUM,
    V_SQUARES,
    V_TALK_10S,  # sessions
    V_OVERLOAD_10S,  # of them, those that the known lane took for denial of service
    V_SOURCES_AT,
    V_SOURCES,
    V_SOURCES_BEFORE,
    V_LOAD_AT,  # sessions in a window, as of a host's packets
    V_LOAD,
    V_LAST_LOAD_AT,
    V_LAST_LOAD,
    V_LOAD_BEFORE,
    V_LOAD_SINCE,
    V_CELLS,
) = range(16)

STARTS = 40  # the latest starts of a pair's connections that are kept, a second or more apart, and as many gaps
WINDOW_S = 10.0
LOAD_WINDOW_S = 30.0  # a flood is told before its first packets count among those before it
_DAY_S, _10_MINUTES_S, _2_MINUTES_S, _MINUTE_S = 86400.0, 600.0, 120.0, 60.0
SOURCES_S = 600.0  # a service's bitmap of sources
_BITS = 64
_EPOCH_S = 1.0  # so that no moment is 0, which says that there is none


class Rows(NamedTuple):
    """A bounded table: rows by key (models.hosts), cells that fade, and a bitmap a row."""

    slots: NDArray[np.int32]
    keys: Int64s
    links: Int64s
    ends: Int64s
    seed: NDArray[np.uint64]
    cells: Floats  # (capacity, cells of the table)
    bits: NDArray[np.uint64]  # (capacity,) addresses seen, hashed to 64 bits


def table_rows(capacity: int, cells: int, seed: int) -> Rows:
    """An empty table of so many rows and cells a row."""
    table = host_table(capacity, seed)
    zeros, bits = np.zeros((capacity, cells)), np.zeros(capacity, dtype=np.uint64)
    return Rows(table.slots, table.keys, table.links, table.ends, table.seed, zeros, bits)


@inner
def host_row(identity: Identity, i: int, high: int, low: int, now: float, hosts: Rows) -> Word:
    """Row of an address, its counts brought up to date."""
    # No address has a high word of all ones, so IPv4 keys meet no IPv6 ones.
    top = np.int64(-1) if identity[i, IP_VERSION] == 4 else identity[i, high]
    row = row_of(top, identity[i, low], now, hosts)
    cells = hosts.cells
    seconds = now - cells[row, AT]
    if seconds > 0:
        _fade(cells, row, H_HIT_10S, H_SOURCES_AT, seconds / WINDOW_S)
        cells[row, AT] = now
    return row


@inner
def spot_row(high: Word, low: Word, now: float, spots: Rows) -> Word:
    """Row of what a source tried somewhere, its counts brought up to date."""
    row = row_of(np.int64(high), np.int64(low), now, spots)
    cells = spots.cells
    seconds = now - cells[row, AT]
    if seconds > 0:
        _fade(cells, row, S_FAILED_10M, S_FAILED_DAY, seconds / _10_MINUTES_S)
        _fade(cells, row, S_FAILED_DAY, S_WITHOUT_1S, seconds / _DAY_S)
        _fade(cells, row, S_WITHOUT_1S, S_CELLS, seconds)
        cells[row, AT] = now
    return row


@inner
def service_row(identity: Identity, i: int, now: float, services: Rows) -> Word:
    """Row of a destination's port."""
    top = np.int64(-1) if identity[i, IP_VERSION] == 4 else identity[i, DST_HIGH]
    low = mixed(np.uint64(top) ^ services.seed[0]) + np.uint64(identity[i, DST_PORT])
    row = row_of(np.int64(low), identity[i, DST_LOW], now, services)
    cells = services.cells
    seconds = now - cells[row, AT]
    if seconds > 0:
        _fade(cells, row, V_LIKE_10M, V_TALK_10S, seconds / _10_MINUTES_S)
        _fade(cells, row, V_TALK_10S, V_SOURCES_AT, seconds / WINDOW_S)
        cells[row, AT] = now
    return row


@inner
def pair_key(identity: Identity, i: int, seed: NDArray[np.uint64]) -> tuple[Word, Word]:
    """128 bits of a source, a destination and its service."""
    service = np.uint64(identity[i, DST_PORT] << 8 | identity[i, PROTOCOL])
    if identity[i, SRC_PORT] == 53 and identity[i, PROTOCOL] == UDP:
        service = np.uint64(53 << 8 | UDP)  # the flow was met in the middle: its port is any
    high = mixed(mixed(np.uint64(identity[i, SRC_HIGH]) ^ seed[0]) + np.uint64(identity[i, DST_LOW]))
    low = mixed(mixed(np.uint64(identity[i, SRC_LOW]) ^ seed[1]) + np.uint64(identity[i, DST_HIGH]))
    return np.int64(mixed(high + service)), np.int64(mixed(low ^ high))


@inner
def pair_row(high: Word, low: Word, now: float, pairs: Rows) -> Word:
    """Row of a pair by its key, its counts brought up to date."""
    row = row_of(high, low, now, pairs)
    cells = pairs.cells
    seconds = now - cells[row, AT]
    if seconds > 0:
        _fade(cells, row, P_WITHOUT_10S, P_LIKE_10M, seconds / WINDOW_S)
        _fade(cells, row, P_LIKE_10M, P_OVERLOAD_10S, seconds / _10_MINUTES_S)
        _fade(cells, row, P_OVERLOAD_10S, P_SLOW_2M, seconds / WINDOW_S)
        _fade(cells, row, P_SLOW_2M, P_QUESTIONS_1M, seconds / _2_MINUTES_S)
        _fade(cells, row, P_QUESTIONS_1M, P_SENT_DAY, seconds / _MINUTE_S)
        _fade(cells, row, P_SENT_DAY, P_STARTS, seconds / _DAY_S)
        cells[row, AT] = now
    return row


@inner
def row_of(high: Word, low: Word, now: float, table: Rows) -> Word:
    """Row of a key as the newest, given anew where it had none."""
    row = find(high, low, table.slots, table.keys, table.seed)
    if row == ABSENT:
        row = admit(high, low, table.slots, table.keys, table.links, table.ends, table.seed)
        table.cells[row, :] = 0.0
        table.cells[row, AT] = now
        table.bits[row] = np.uint64(0)
    else:
        touch(row, table.links, table.ends)
    return row


@inner
def _fade(cells: Floats, row: int, first: int, end: int, times: float) -> None:
    """Let counts fade by so many times their memory."""
    factor = math.exp(-times)
    for column in range(first, end):
        cells[row, column] *= factor


@inner
def load(row: int, amount: float, now: float, column: int, table: Rows) -> None:
    """Count what a row gets, in windows: in this one, in the last one, and in the ten minutes before both."""
    cells = table.cells
    this, last = column, column + 2  # each its begin and its count
    moment = now + _EPOCH_S
    if cells[row, column + 5] == 0.0:
        cells[row, this] = cells[row, last] = cells[row, column + 5] = moment
    seconds = moment - cells[row, this]
    if seconds >= LOAD_WINDOW_S:
        cells[row, column + 4] = cells[row, column + 4] * math.exp(-seconds / _10_MINUTES_S) + cells[row, last + 1]
        cells[row, last], cells[row, last + 1] = cells[row, this], cells[row, this + 1]
        if seconds >= 2 * LOAD_WINDOW_S:  # the last one is long over
            cells[row, column + 4] += cells[row, last + 1]
            cells[row, last], cells[row, last + 1] = moment, 0.0
        cells[row, this], cells[row, this + 1] = moment, 0.0
    cells[row, this + 1] += amount


@inner
def load_before(row: int, column: int, table: Rows) -> float:
    """What a row got each second before these two windows, of ten minutes; −1 where it was not in view for one."""
    cells = table.cells
    seconds = cells[row, column + 2] - cells[row, column + 5]
    if seconds < _MINUTE_S:
        return -1.0
    return float(cells[row, column + 4] / (_10_MINUTES_S * (1.0 - math.exp(-seconds / _10_MINUTES_S))))


@inner
def see(identity: Identity, i: int, row: int, now: float, window_s: float, column: int, table: Rows) -> None:
    """Count a flow's source among those of a row in a window: linear counting over 64 bits (Whang et al. 1990)."""
    cells = table.cells
    if now - cells[row, column] >= window_s:
        cells[row, column + 2] = cells[row, column + 1] if now - cells[row, column] < 2 * window_s else 0.0
        cells[row, column + 1], cells[row, column] = 0.0, now
        table.bits[row] = np.uint64(0)
    # Not keyed: what is told must be the same in every run.
    word = mixed(mixed(np.uint64(identity[i, SRC_HIGH])) + np.uint64(identity[i, SRC_LOW]))
    bit = np.uint64(1) << (word & np.uint64(_BITS - 1))
    if table.bits[row] & bit == 0:
        table.bits[row] |= bit
        cells[row, column + 1] += 1


@inner
def seen(row: int, column: int, table: Rows) -> float:
    """About how many sources a row had in this window or the one before, at most some 270."""
    bits = max(table.cells[row, column + 1], table.cells[row, column + 2])
    return -_BITS * math.log(max(1 - bits / _BITS, 1 / _BITS))
