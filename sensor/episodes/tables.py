"""Bounded tables of counts that fade: of hosts, of what a source tried, of pairs, and of services."""

import math

import numpy as np
from numpy.typing import NDArray

from flows.batch import DST_HIGH, DST_LOW, DST_PORT, IP_VERSION, PROTOCOL, SRC_HIGH, SRC_LOW, SRC_PORT, Identity
from flows.roles import UDP
from kernels.fading import AT, Rows, fade, row_of
from kernels.hosts import mixed
from kernels.jit import Word, inner

# Columns of a table's cells; a column counts flows of about so many seconds, unless it says another thing.
(
    _,
    H_HIT_10S,  # flows without data that hit this host
    H_TALK_10S,  # flows with data that it took part in
    H_ANSWERS_10S,  # packets of answers that it did not ask for
    H_SOURCES_AT,  # when its bitmap of sources began
    H_SOURCES,  # bits set in it
    H_SOURCES_BEFORE,  # bits set in the one before
    H_DAY_AT,  # when the day began in which its pairs are counted as a source's (count_pair)
    H_REGULAR,  # those that have a beat, and how many had one the day before
    H_REGULAR_BEFORE,
    H_OUTWARD,  # those that send much or keep a connection open, and how many did the day before
    H_OUTWARD_BEFORE,
    H_LOAD_AT,  # packets of flows to this host in a window (load): when it began
    H_LOAD,  # those in it
    H_LAST_LOAD_AT,  # the same of the window before it
    H_LAST_LOAD,
    H_LOAD_BEFORE,  # those of the ten minutes before both
    H_LOAD_SINCE,  # when the host came into view
    H_CELLS,
) = range(19)
_, S_FAILED_10M, S_OPENED_10M, S_FAILED_DAY, S_OPENED_DAY, S_WITHOUT_1S, S_CELLS = range(7)
(
    _,
    P_FLOWS,  # all since it was last not seen for a day: then it is as new as any
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
    P_BEAT,  # the source's day in which it last counted among those that have a beat
    P_PACKETS,  # of TCP, likewise
    P_OUTWARD,  # the same of those that send much or keep a connection open
    P_SINCE,  # when the first of the flows of these packets began
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
_EPOCH_S = 1.0  # so that no moment is 0, which says that there is none


@inner
def host_row(identity: Identity, i: int, high: int, low: int, now: float, hosts: Rows) -> Word:
    """Row of an address, its counts brought up to date."""
    # No address has a high word of all ones, so IPv4 keys meet no IPv6 ones.
    top = np.int64(-1) if identity[i, IP_VERSION] == 4 else identity[i, high]
    row = row_of(top, identity[i, low], now, hosts)
    cells = hosts.cells
    seconds = now - cells[row, AT]
    if seconds > 0:
        fade(cells, row, H_HIT_10S, H_SOURCES_AT, seconds / WINDOW_S)
        cells[row, AT] = now
    return row


@inner
def spot_row(high: Word, low: Word, now: float, spots: Rows) -> Word:
    """Row of what a source tried somewhere, its counts brought up to date."""
    row = row_of(np.int64(high), np.int64(low), now, spots)
    cells = spots.cells
    seconds = now - cells[row, AT]
    if seconds > 0:
        fade(cells, row, S_FAILED_10M, S_FAILED_DAY, seconds / _10_MINUTES_S)
        fade(cells, row, S_FAILED_DAY, S_WITHOUT_1S, seconds / _DAY_S)
        fade(cells, row, S_WITHOUT_1S, S_CELLS, seconds)
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
        fade(cells, row, V_LIKE_10M, V_TALK_10S, seconds / _10_MINUTES_S)
        fade(cells, row, V_TALK_10S, V_SOURCES_AT, seconds / WINDOW_S)
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
        if seconds >= _DAY_S:
            cells[row, P_FLOWS] = cells[row, P_PACKETS] = 0.0
        fade(cells, row, P_WITHOUT_10S, P_LIKE_10M, seconds / WINDOW_S)
        fade(cells, row, P_LIKE_10M, P_OVERLOAD_10S, seconds / _10_MINUTES_S)
        fade(cells, row, P_OVERLOAD_10S, P_SLOW_2M, seconds / WINDOW_S)
        fade(cells, row, P_SLOW_2M, P_QUESTIONS_1M, seconds / _2_MINUTES_S)
        fade(cells, row, P_QUESTIONS_1M, P_SENT_DAY, seconds / _MINUTE_S)
        fade(cells, row, P_SENT_DAY, P_STARTS, seconds / _DAY_S)
        cells[row, AT] = now
    return row


@inner
def bring_day(source: int, hosts: Rows) -> None:
    """Begin a new day of a source where the last one is over, in which its pairs are counted anew."""
    cells = hosts.cells
    moment = cells[source, AT] + _EPOCH_S
    seconds = moment - cells[source, H_DAY_AT]
    if seconds < _DAY_S and cells[source, H_DAY_AT] > 0.0:
        return
    for column in (H_REGULAR, H_OUTWARD):
        cells[source, column + 1] = cells[source, column] if seconds < 2 * _DAY_S else 0.0
        cells[source, column] = 0.0
    cells[source, H_DAY_AT] = moment


@inner
def count_pair(pair: int, counted: int, source: int, column: int, pairs: Rows, hosts: Rows) -> None:
    """Count a pair among those of its source, once a day. counted: the pair's column of it. column: the source's."""
    bring_day(source, hosts)
    if pairs.cells[pair, counted] != hosts.cells[source, H_DAY_AT]:
        pairs.cells[pair, counted] = hosts.cells[source, H_DAY_AT]
        hosts.cells[source, column] += 1


@inner
def counted_pairs(source: int, column: int, hosts: Rows) -> float:
    """How many pairs of a source were counted in this day, or in the one before. column: of their number."""
    bring_day(source, hosts)
    return float(max(hosts.cells[source, column], hosts.cells[source, column + 1]))


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
