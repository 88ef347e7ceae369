"""The windowed columns of a connection: nine over two seconds, ten over the last connections to the same host.

Definitions: task description of KDD Cup 1999; Lee, Stolfo 2000. They leave much open, and the published data departs
from them; a model fitted on the data needs the data's scale, so what holds in the rows of NSL-KDD is followed here
(tests/flows/kdd/test_published_rows.py):

- a connection counts itself; no window has more than 511 connections (two seconds) or 255 (hosts, not 100);
- services are ports, not names; SYN errors are S0, S1, S2, S3 and SH, rejections REJ and every RST;
- diff_srv and srv_diff_host rates count distinct services and hosts, the connection's own among them, and are 0 where
  there is only its own;
- the window over hosts is the 255 connections up to this one when all are sorted by destination and then by time, so a
  host with fewer has those of its neighbours by address in its service counts;
- rates have two decimals, rounded as C prints a float of 32 bits.

Connections enter when they are first reported, which for an unanswered SYN is ten seconds after its start. The two
seconds are those before a connection's start. Of the connections reported before it, those that started in them count,
out of the last 510 to the same host and the last 510 of the same service; what is reported after it is missing. (The
data has one window for both. Here traffic elsewhere does not shorten it, or a busy network would have no floods.) Over
hosts, sorted by time means by report.

Everything is bounded: the oldest of RECENT connections is forgotten, and the destination not seen for longest, with
all that is known of it. No hash, so no seed and no collisions: destinations are found in their sorted order.
"""

import numpy as np
from numpy.typing import NDArray

from flows.block import Int64s
from flows.kdd.services import SERVICE_KEYS
from flows.layout import UNSET
from flows.lists import LINK_WORDS, QUEUE, Heads, Links, append, remove
from kernels.jit import U, Word, inner

Order = NDArray[np.int32]  # (hosts,) rows of the hosts in use, by address

RECENT = 1 << 16  # connections
HOSTS = 8192
SPAN_US = 2_000_000
LAST_IN_TIME, LAST_TO_HOST = 511, 255  # connections, this one among them

# Words of a recent connection. They are numbered from 1; number n stands in place n % RECENT.
(
    E_START_US,
    E_REPORTED_US,
    E_HOST,  # its row
    E_HOST_BORN,  # tells that row's host from the one that has it now
    E_KEY,
    E_PORT,
    E_ERROR,
    E_BEFORE_TO_HOST,  # number of the connection before it to the same host, 0 none
    E_BEFORE_TO_SERVICE,
    E_WORDS,
) = range(10)

# Words of a host; the last connections follow as key << 24 | source port << 8 | error, a ring.
H_HIGH, H_LOW, H_BORN, H_NEWEST, H_STAMP, H_ENTERED, H_LAST = range(7)
H_WORDS = H_LAST + LAST_TO_HOST

# Words of a service key.
V_NEWEST, V_STAMP, V_WORDS = range(3)

# Registers.
(
    W_CAPACITY,  # hosts
    W_HOSTS,  # in use
    W_NUMBER,  # of the newest connection
    W_BORN,
    W_STAMP,  # marks what was seen in the count under way
    W_FORGOTTEN,  # hosts
    W_CROWDED,  # connections forgotten within two seconds of their report
    W_REGISTERS,
) = range(8)


@inner
def place_of(hosts: Int64s, order: Order, registers: Int64s, high: Word, low: Word) -> Word:
    """Place of a host in the order, or -(where it would go) - 1."""
    begin, end = 0, registers[U(W_HOSTS)]
    while begin < end:
        middle = (begin + end) >> 1
        h = np.int64(order[U(middle)]) * H_WORDS
        other_high, other_low = hosts[U(h + H_HIGH)], hosts[U(h + H_LOW)]
        if other_high == high and other_low == low:
            return middle
        if other_high < high or (other_high == high and other_low < low):
            begin = middle + 1
        else:
            end = middle
    return -begin - 1


@inner
def forget_oldest(hosts: Int64s, order: Order, links: Links, queue: Heads, registers: Int64s) -> Word:
    """Forget the host that was not seen for longest; returns its row."""
    row = np.int64(queue[U(0)])
    h = row * H_WORDS
    place = place_of(hosts, order, registers, hosts[U(h + H_HIGH)], hosts[U(h + H_LOW)])
    registers[U(W_HOSTS)] -= 1
    for i in range(place, registers[U(W_HOSTS)]):
        order[U(i)] = order[U(i + 1)]
    remove(links, queue, QUEUE, 0, row)
    registers[U(W_FORGOTTEN)] += 1
    return row


@inner
def add_host(hosts: Int64s, order: Order, links: Links, queue: Heads, registers: Int64s, high: Word, low: Word) -> Word:
    """Row for a host that is not known."""
    row = registers[U(W_HOSTS)]
    if row == registers[U(W_CAPACITY)]:
        row = forget_oldest(hosts, order, links, queue, registers)
    place = -place_of(hosts, order, registers, high, low) - 1
    for i in range(registers[U(W_HOSTS)], place, -1):
        order[U(i)] = order[U(i - 1)]
    order[U(place)] = row
    registers[U(W_HOSTS)] += 1
    registers[U(W_BORN)] += 1
    h = row * H_WORDS
    hosts[U(h + H_HIGH)] = high
    hosts[U(h + H_LOW)] = low
    hosts[U(h + H_BORN)] = registers[U(W_BORN)]
    hosts[U(h + H_NEWEST)] = 0
    hosts[U(h + H_STAMP)] = 0
    hosts[U(h + H_ENTERED)] = 0
    append(links, queue, QUEUE, 0, row)
    return row


@inner
def enter(
    recent: Int64s,
    services: Int64s,
    hosts: Int64s,
    links: Links,
    queue: Heads,
    registers: Int64s,
    row: Word,
    start_us: Word,
    reported_us: Word,
    key: Word,
    port: Word,
    error: Word,
) -> None:
    """A connection into the windows of those that come."""
    number = registers[U(W_NUMBER)] + 1
    registers[U(W_NUMBER)] = number
    e = (number & (RECENT - 1)) * E_WORDS
    if number > RECENT and recent[U(e + E_REPORTED_US)] >= reported_us - SPAN_US:
        registers[U(W_CROWDED)] += 1
    h = row * H_WORDS
    recent[U(e + E_START_US)] = start_us
    recent[U(e + E_REPORTED_US)] = reported_us
    recent[U(e + E_HOST)] = row
    recent[U(e + E_HOST_BORN)] = hosts[U(h + H_BORN)]
    recent[U(e + E_KEY)] = key
    recent[U(e + E_PORT)] = port
    recent[U(e + E_ERROR)] = error
    recent[U(e + E_BEFORE_TO_HOST)] = hosts[U(h + H_NEWEST)]
    recent[U(e + E_BEFORE_TO_SERVICE)] = services[U(key * V_WORDS + V_NEWEST)]
    hosts[U(h + H_NEWEST)] = services[U(key * V_WORDS + V_NEWEST)] = number
    entered = hosts[U(h + H_ENTERED)]
    hosts[U(h + H_LAST + entered % LAST_TO_HOST)] = (key << 24) | (port << 8) | error
    hosts[U(h + H_ENTERED)] = entered + 1
    remove(links, queue, QUEUE, 0, row)
    append(links, queue, QUEUE, 0, row)


def empty_windows(hosts: int) -> tuple[Int64s, Int64s, Int64s, Order, Links, Heads, Int64s]:
    """Windows for so many hosts: recent, services, hosts, order, links, queue, registers."""
    registers = np.zeros(W_REGISTERS, dtype=np.int64)
    registers[W_CAPACITY] = hosts
    return (
        # zeros are not touched before they are used
        np.zeros(RECENT * E_WORDS, dtype=np.int64),
        np.zeros(SERVICE_KEYS * V_WORDS, dtype=np.int64),
        np.zeros(hosts * H_WORDS, dtype=np.int64),
        np.zeros(hosts, dtype=np.int32),
        np.zeros(hosts * LINK_WORDS, dtype=np.int32),
        np.full(2, UNSET, dtype=np.int32),
        registers,
    )
