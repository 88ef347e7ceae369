"""Counts over the windows: the nine columns over two seconds, the ten over the last connections to a host.

What each counts: flows.kdd.windows. Every loop is bounded by the length of its window.
"""

import numpy as np

from flows.batch import Values
from flows.block import Int64s
from flows.kdd.connections import KDD_INDEX, REJECTED, SYN_ERROR
from flows.kdd.windows import (
    E_BEFORE_TO_HOST,
    E_BEFORE_TO_SERVICE,
    E_ERROR,
    E_HOST,
    E_HOST_BORN,
    E_KEY,
    E_PORT,
    E_REPORTED_US,
    E_START_US,
    E_WORDS,
    H_BORN,
    H_ENTERED,
    H_LAST,
    H_STAMP,
    H_WORDS,
    LAST_IN_TIME,
    LAST_TO_HOST,
    RECENT,
    SPAN_US,
    V_NEWEST,
    V_STAMP,
    V_WORDS,
    W_NUMBER,
    W_STAMP,
    Order,
)
from flows.layout import UNSET
from kernels.jit import U, Word, inlined, inner

(K_COUNT, K_SRV_COUNT, K_SERROR, K_SRV_SERROR, K_RERROR, K_SRV_RERROR, K_SAME, K_DIFF, K_SRV_DIFF) = (
    KDD_INDEX[name]
    for name in (
        "count", "srv_count", "serror_rate", "srv_serror_rate", "rerror_rate", "srv_rerror_rate", "same_srv_rate",
        "diff_srv_rate", "srv_diff_host_rate",
    )
)  # fmt: skip
(K_HOST, K_HOST_SRV, K_HOST_SAME, K_HOST_DIFF, K_HOST_PORT, K_HOST_SRV_DIFF) = (
    KDD_INDEX[f"dst_host_{name}"]
    for name in ("count", "srv_count", "same_srv_rate", "diff_srv_rate", "same_src_port_rate", "srv_diff_host_rate")
)
(K_HOST_SERROR, K_HOST_SRV_SERROR, K_HOST_RERROR, K_HOST_SRV_RERROR) = (
    KDD_INDEX[f"dst_host_{name}"] for name in ("serror_rate", "srv_serror_rate", "rerror_rate", "srv_rerror_rate")
)


@inlined
def share(part: Word, whole: Word) -> Word:
    """part of whole in hundredths, as the data has it: printed from a number of 32 bits."""
    return np.rint(100.0 * np.float64(np.float32(part / whole))) / 100.0


@inlined
def share_of_distinct(distinct: Word, whole: Word) -> Word:
    """As share, and 0 where nothing is distinct from the one."""
    return share(distinct, whole) if distinct > 1 else 0.0


@inner
def count_host(
    recent: Int64s,
    services: Int64s,
    registers: Int64s,
    newest: Word,
    start_us: Word,
    key: Word,
    port: Word,
    error: Word,
    again: Word,
    out: Values,
    i: Word,
) -> None:
    """Columns over the connections to the same host that started in the two seconds before.

    newest: number of the last connection to it. again: the connection itself may stand among them.
    """
    registers[U(W_STAMP)] += 1
    stamp = registers[U(W_STAMP)]
    oldest = registers[U(W_NUMBER)] - RECENT
    since = start_us - SPAN_US
    services[U(key * V_WORDS + V_STAMP)] = stamp
    count, same, distinct = 1, 1, 1
    serrors, rerrors = int(error == SYN_ERROR), int(error == REJECTED)
    number = newest
    for _ in range(LAST_IN_TIME - 1):
        e = (number & (RECENT - 1)) * E_WORDS
        # reported before the two seconds, so started before them, like all behind it
        if number == 0 or number <= oldest or recent[U(e + E_REPORTED_US)] < since:
            break
        number = recent[U(e + E_BEFORE_TO_HOST)]
        other = recent[U(e + E_START_US)]
        if other < since or other > start_us:
            continue
        other_key = recent[U(e + E_KEY)]
        if again and other == start_us and other_key == key and recent[U(e + E_PORT)] == port:
            continue
        count += 1
        same += other_key == key
        serrors += recent[U(e + E_ERROR)] == SYN_ERROR
        rerrors += recent[U(e + E_ERROR)] == REJECTED
        if services[U(other_key * V_WORDS + V_STAMP)] != stamp:
            services[U(other_key * V_WORDS + V_STAMP)] = stamp
            distinct += 1
    out[i, K_COUNT] = count
    out[i, K_SERROR] = share(serrors, count)
    out[i, K_RERROR] = share(rerrors, count)
    out[i, K_SAME] = share(same, count)
    out[i, K_DIFF] = share_of_distinct(distinct, count)


@inner
def count_service(
    recent: Int64s,
    services: Int64s,
    hosts: Int64s,
    registers: Int64s,
    row: Word,
    start_us: Word,
    key: Word,
    port: Word,
    error: Word,
    again: Word,
    out: Values,
    i: Word,
) -> None:
    """Columns over the connections of the same service that started in the two seconds before.

    row: the connection's host, UNSET where that is forgotten.
    """
    registers[U(W_STAMP)] += 1
    stamp = registers[U(W_STAMP)]
    oldest = registers[U(W_NUMBER)] - RECENT
    since = start_us - SPAN_US
    if row != UNSET:
        hosts[U(row * H_WORDS + H_STAMP)] = stamp
    count, distinct = 1, 1
    serrors, rerrors = int(error == SYN_ERROR), int(error == REJECTED)
    number = services[U(key * V_WORDS + V_NEWEST)]
    for _ in range(LAST_IN_TIME - 1):
        e = (number & (RECENT - 1)) * E_WORDS
        if number == 0 or number <= oldest or recent[U(e + E_REPORTED_US)] < since:
            break
        number = recent[U(e + E_BEFORE_TO_SERVICE)]
        h = recent[U(e + E_HOST)] * H_WORDS
        other = recent[U(e + E_START_US)]
        if other < since or other > start_us or hosts[U(h + H_BORN)] != recent[U(e + E_HOST_BORN)]:
            continue
        if again and other == start_us and recent[U(e + E_PORT)] == port and recent[U(e + E_HOST)] == row:
            continue
        count += 1
        serrors += recent[U(e + E_ERROR)] == SYN_ERROR
        rerrors += recent[U(e + E_ERROR)] == REJECTED
        if hosts[U(h + H_STAMP)] != stamp:
            hosts[U(h + H_STAMP)] = stamp
            distinct += 1
    out[i, K_SRV_COUNT] = count
    out[i, K_SRV_SERROR] = share(serrors, count)
    out[i, K_SRV_RERROR] = share(rerrors, count)
    out[i, K_SRV_DIFF] = share_of_distinct(distinct, count)


@inner
def count_to_host(
    services: Int64s,
    hosts: Int64s,
    registers: Int64s,
    row: Word,
    key: Word,
    port: Word,
    error: Word,
    again: Word,
    out: Values,
    i: Word,
) -> tuple[Word, Word, Word]:
    """Columns over the host's own connections; returns those of the same service: all, SYN errors, rejected."""
    registers[U(W_STAMP)] += 1
    stamp = registers[U(W_STAMP)]
    services[U(key * V_WORDS + V_STAMP)] = stamp
    serrors, rerrors = int(error == SYN_ERROR), int(error == REJECTED)
    count, distinct, same_port, same, same_serrors, same_rerrors = 1, 1, 1, 1, serrors, rerrors
    h = row * H_WORDS
    entered = hosts[U(h + H_ENTERED)] if row != UNSET else 0
    at = entered % LAST_TO_HOST
    for _ in range(min(entered, LAST_TO_HOST)):
        at = at - 1 if at else LAST_TO_HOST - 1
        packed = hosts[U(h + H_LAST + at)]
        other_key, other_port, other_error = packed >> 24, (packed >> 8) & 0xFFFF, packed & 0xFF
        if again and other_key == key and other_port == port:
            again = 0  # its own, once
            continue
        if count == LAST_TO_HOST:
            break
        count += 1
        same_port += other_port == port
        serrors += other_error == SYN_ERROR
        rerrors += other_error == REJECTED
        if other_key == key:
            same += 1
            same_serrors += other_error == SYN_ERROR
            same_rerrors += other_error == REJECTED
        elif services[U(other_key * V_WORDS + V_STAMP)] != stamp:
            services[U(other_key * V_WORDS + V_STAMP)] = stamp
            distinct += 1
    out[i, K_HOST] = count
    out[i, K_HOST_SAME] = share(same, count)
    out[i, K_HOST_DIFF] = share_of_distinct(distinct, count)
    out[i, K_HOST_PORT] = share(same_port, count)
    out[i, K_HOST_SERROR] = share(serrors, count)
    out[i, K_HOST_RERROR] = share(rerrors, count)
    return same, same_serrors, same_rerrors


@inner
def count_with_neighbours(
    hosts: Int64s, order: Order, below: Word, key: Word, of_host: tuple[Word, Word, Word], out: Values, i: Word
) -> None:
    """Columns over the connections of the same service, the host's own and those of the neighbours from `below` down.

    of_host: as count_to_host returned it.
    """
    same, serrors, rerrors = of_host
    distinct = 1
    room = LAST_TO_HOST - np.int64(out[i, K_HOST])
    while room > 0 and below >= 0:
        h = np.int64(order[U(below)]) * H_WORDS
        entered = hosts[U(h + H_ENTERED)]
        at = entered % LAST_TO_HOST
        before = same
        for _ in range(min(entered, room, LAST_TO_HOST)):
            at = at - 1 if at else LAST_TO_HOST - 1
            packed = hosts[U(h + H_LAST + at)]
            if packed >> 24 == key:
                same += 1
                serrors += packed & 0xFF == SYN_ERROR
                rerrors += packed & 0xFF == REJECTED
        distinct += same > before
        room -= min(entered, LAST_TO_HOST)
        below -= 1
    out[i, K_HOST_SRV] = same
    out[i, K_HOST_SRV_DIFF] = share_of_distinct(distinct, same)
    out[i, K_HOST_SRV_SERROR] = share(serrors, same)
    out[i, K_HOST_SRV_RERROR] = share(rerrors, same)


@inner
def count_last(
    services: Int64s,
    hosts: Int64s,
    order: Order,
    registers: Int64s,
    place: Word,
    key: Word,
    port: Word,
    error: Word,
    again: Word,
    out: Values,
    i: Word,
) -> None:
    """Columns over the last connections to the same host, and where they are few to its neighbours below.

    place: of the host in the order, or where it would stand as place_of tells.
    """
    row = np.int64(order[U(place)]) if place >= 0 else UNSET
    of_host = count_to_host(services, hosts, registers, row, key, port, error, again, out, i)
    below = place - 1 if place >= 0 else -place - 2
    count_with_neighbours(hosts, order, below, key, of_host, out, i)
