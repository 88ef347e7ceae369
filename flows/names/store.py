"""What was seen last of each address and flow: bounded tables, not seen for longest out first.

It takes sightings in the order of their times, up to a moment, and tells what was known then. Who gives way and what
is told depends on the sightings alone, not on how they were cut into portions or on the seed of the hash.
"""

import secrets
from dataclasses import dataclass

import numpy as np

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    IDENTITY_WIDTH,
    IP_VERSION,
    PROTOCOL,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    VLAN,
)
from flows.block import Bytes, Int64s
from flows.names.hello import ClientHello, client_hello
from flows.names.layout import (
    HELLO_BYTES,
    HELLO_OF_FLOW,
    NAME_BYTES,
    REVERSE,
    S_A_HIGH,
    S_A_LOW,
    S_B_HIGH,
    S_B_LOW,
    S_DIGEST,
    S_FROM,
    S_KIND,
    S_LENGTH,
    S_PORTS,
    S_STAMP_NS,
    S_TIME_NS,
    S_VLAN,
    SIGHTING_WORDS,
    Words,
)
from flows.names.reading import NO_SIGHTINGS, MarkReader, Sightings, joined
from kernels.hosts import ABSENT, COUNT, OLDEST, Seed, Slots, admit, find, host_table, mixed, touch
from kernels.jit import Word, entry, inner

NAMES = 2  # of an address, the latest
SECOND_NS = 1_000_000_000
NAMED_NS = 86_400 * SECOND_NS  # for which a name is told: an address may be another's a day later
HELLO_NS = 240 * SECOND_NS  # for which a hello is needed at least: the longest flow, and the silence after it
MOVES = 32  # a sighting, by which they may be out of order where they are put in it one by one
WAITING = 262_144  # sightings that wait for their moment, beyond which the first are taken before it
IPV4_HIGH = -1  # no address has a high word of all ones, so IPv4 keys meet no IPv6 ones

_ORDER = (S_TIME_NS, S_STAMP_NS, S_KIND, S_A_HIGH, S_A_LOW, S_B_HIGH, S_B_LOW, S_PORTS, S_VLAN, S_LENGTH, S_DIGEST)
# Words of a name: when it was seen last, by the meter's clock and as stamped; ASKED or REVERSE; who asked, and the IP
# version of that; how long its text is, 0 for none.
N_TIME_NS, N_STAMP_NS, N_KIND, N_HIGH, N_LOW, N_VERSION, N_LENGTH, NAME_WORDS = range(8)


@dataclass(frozen=True, slots=True)
class SeenName:
    """A name that traffic told of an address."""

    name: str  # printable ASCII
    seen_ns: int  # when it was told last, as the packet was stamped
    reverse: bool  # whether the address was asked for, not the name
    asker: tuple[int, int, int]  # who asked: IP version, high and low word


@inner
def address_key(high: Word, version: Word) -> Word:
    """High word of an address among those of both versions."""
    return np.int64(IPV4_HIGH) if version == 4 else high


@inner
def flow_key(words: Words, i: Word, seed: Seed) -> tuple[Word, Word]:
    """128 bits that stand for the flow of a sighting, which nobody can choose."""
    high, low = seed[0], seed[1]
    for w in range(S_A_HIGH, S_VLAN + 1):
        word = np.uint64(words[i, w])
        high = mixed(high ^ word)
        low = mixed(low + word)
    return np.int64(high), np.int64(low)


@inner
def give_way(time_ns: Word, needed_ns: Word, seen_ns: Int64s, ends: Int64s, counts: Int64s, which: Word) -> None:
    """Count who gives way to another before its time, where all rows are in use."""
    if ends[COUNT] == len(seen_ns) and time_ns - seen_ns[ends[OLDEST]] < needed_ns:
        counts[which] += 1


@inner
def copied(text: Bytes, begin: Word, length: Word, out: Bytes) -> None:
    """Copy bytes of a text."""
    for b in range(length):
        out[b] = text[begin + b]


@inner
def place_of(words: Words, i: Word, text: Bytes, row: Word, names: Int64s, texts: Bytes) -> Word:
    """Which of a row's names a sighting renews: the same one, else the one seen longest ago."""
    oldest = 0
    begin, length = words[i, S_FROM], words[i, S_LENGTH]
    for place in range(NAMES):
        if names[row, place, N_KIND] == words[i, S_KIND] and names[row, place, N_LENGTH] == length:
            b = 0
            while b < length and texts[row, place, b] == text[begin + b]:
                b += 1
            if b == length:
                return place
        if names[row, place, N_TIME_NS] < names[row, oldest, N_TIME_NS]:
            oldest = place
    return oldest


@inner
def is_before(words: Words, one: Word, other: Word) -> bool:
    """Whether a sighting stands before another, by the words of _ORDER."""
    for column in _ORDER:
        if words[one, column] != words[other, column]:
            return bool(words[one, column] < words[other, column])
    return False


@entry
def put_in_order(words: Words, order: Int64s) -> bool:
    """Numbers of sightings in the order of _ORDER, where few are out of it; whether they are few. order: (n,)."""
    moves = 0
    for i in range(len(words)):
        place = i
        while place > 0 and is_before(words, i, order[place - 1]):
            order[place] = order[place - 1]
            place -= 1
        order[place] = i
        moves += i - place
        if moves > MOVES * len(words):
            return False
    return True


@entry
def copy_sightings(words: Words, text: Bytes, order: Int64s, first: int, new_words: Words, new_text: Bytes) -> None:
    """Copy sightings from this number in the order on, with no text but theirs."""
    filled = 0
    for n in range(first, len(order)):
        i, m = order[n], n - first
        for w in range(SIGHTING_WORDS):
            new_words[m, w] = words[i, w]
        new_words[m, S_FROM] = filled
        for b in range(words[i, S_LENGTH]):
            new_text[filled + b] = text[words[i, S_FROM] + b]
        filled += words[i, S_LENGTH]


@entry
def store_sightings(
    words: Words, text: Bytes, order: Int64s, first: int, until_ns: int,
    slots: Slots, keys: Int64s, links: Int64s, ends: Int64s, seed: Seed,
    seen_ns: Int64s, names: Int64s, texts: Bytes,
    flow_slots: Slots, flow_keys: Int64s, flow_links: Int64s, flow_ends: Int64s, flow_seen_ns: Int64s,
    hello_lengths: Int64s, hellos: Bytes, counts: Int64s,
) -> int:  # fmt: skip
    """Take the sightings of before a moment, from this number in the order on; returns the number of the next one.

    counts: (2,) addresses and flows that gave way before their time.
    """
    n = first
    while n < len(order) and words[order[n], S_TIME_NS] < until_ns:
        i = order[n]
        time_ns, length = words[i, S_TIME_NS], words[i, S_LENGTH]
        if words[i, S_KIND] == HELLO_OF_FLOW:
            high, low = flow_key(words, i, seed)
            row = find(high, low, flow_slots, flow_keys, seed)
            if row == ABSENT:
                give_way(time_ns, HELLO_NS, flow_seen_ns, flow_ends, counts, 1)
                row = admit(high, low, flow_slots, flow_keys, flow_links, flow_ends, seed)
            else:
                touch(row, flow_links, flow_ends)
            flow_seen_ns[row], hello_lengths[row] = time_ns, length
            copied(text, words[i, S_FROM], length, hellos[row])
        else:
            high, low = address_key(words[i, S_A_HIGH], words[i, S_PORTS] >> 40), words[i, S_A_LOW]
            row = find(high, low, slots, keys, seed)
            if row == ABSENT:
                give_way(time_ns, NAMED_NS, seen_ns, ends, counts, 0)
                row = admit(high, low, slots, keys, links, ends, seed)
                names[row, :, :] = 0
            else:
                touch(row, links, ends)
            seen_ns[row] = time_ns
            place = place_of(words, i, text, row, names, texts)
            names[row, place, N_TIME_NS], names[row, place, N_STAMP_NS] = time_ns, words[i, S_STAMP_NS]
            names[row, place, N_KIND], names[row, place, N_LENGTH] = words[i, S_KIND], length
            names[row, place, N_HIGH], names[row, place, N_LOW] = words[i, S_B_HIGH], words[i, S_B_LOW]
            names[row, place, N_VERSION] = words[i, S_PORTS] & 0xFF
            copied(text, words[i, S_FROM], length, texts[row, place])
        n += 1
    return n


@entry
def find_rows(
    record: Int64s, asked: Words, slots: Slots, keys: Int64s, seed: Seed, flow_slots: Slots, flow_keys: Int64s,
    rows: Int64s,
) -> bool:  # fmt: skip
    """Rows of the source, the destination and the hello of a flow, ABSENT for none; whether there is any. rows: (3,).

    record: words of FlowBatch.identity. asked: (1, SIGHTING_WORDS), room for the flow's key as of a sighting.
    """
    version = record[IP_VERSION]
    source_port, destination_port = record[SRC_PORT], record[DST_PORT]
    rows[0] = find(address_key(record[SRC_HIGH], version), record[SRC_LOW], slots, keys, seed)
    rows[1] = find(address_key(record[DST_HIGH], version), record[DST_LOW], slots, keys, seed)
    source = record[SRC_HIGH], record[SRC_LOW], source_port
    destination = record[DST_HIGH], record[DST_LOW], destination_port
    first, second = (source, destination) if source <= destination else (destination, source)
    asked[0, S_A_HIGH], asked[0, S_A_LOW], asked[0, S_B_HIGH], asked[0, S_B_LOW] = *first[:2], *second[:2]
    asked[0, S_PORTS] = version << 40 | record[PROTOCOL] << 32 | first[2] << 16 | second[2]
    asked[0, S_VLAN] = record[VLAN]
    high, low = flow_key(asked, 0, seed)
    rows[2] = find(high, low, flow_slots, flow_keys, seed)
    return bool(rows[0] != ABSENT or rows[1] != ABSENT or rows[2] != ABSENT)


@dataclass(frozen=True, slots=True)
class KnownNames:
    """What was known of an address at a moment, as it is kept."""

    now_ns: int
    words: bytes  # NAMES times NAME_WORDS
    texts: bytes  # NAMES times NAME_BYTES

    def told(self) -> list[SeenName]:
        """Those that were seen within a day, the latest first."""
        found = []
        for place, words in enumerate(np.frombuffer(self.words, dtype=np.int64).reshape(NAMES, NAME_WORDS).tolist()):
            if words[N_LENGTH] and self.now_ns - words[N_TIME_NS] < NAMED_NS:
                begin = place * NAME_BYTES
                name = self.texts[begin : begin + words[N_LENGTH]].decode("ascii")
                asker = words[N_VERSION], words[N_HIGH], words[N_LOW]
                seen = SeenName(name, words[N_STAMP_NS], words[N_KIND] == REVERSE, asker)
                found.append((words[N_TIME_NS], seen))
        return [seen for _, seen in sorted(found, key=lambda each: (-each[0], each[1].name))]


@dataclass(frozen=True, slots=True)
class KnownHello:
    """The latest hello of a flow, as it is kept."""

    seen_ns: int
    kept: bytes

    def told(self) -> ClientHello:
        """What it says."""
        return client_hello(self.kept)


@dataclass(frozen=True, slots=True)
class Known:
    """What was known of a flow at a moment, None where nothing was."""

    source: KnownNames | None
    destination: KnownNames | None
    hello: KnownHello | None


class SightingStore:
    """The latest names of addresses, and the latest hello of flows."""

    def __init__(self, addresses: int, flows: int, seed: int | None = None) -> None:
        """addresses, flows: of which something is kept at most. seed: of the hash, random unless given."""
        drawn = secrets.randbits(128) if seed is None else seed
        self._addresses, self._flows = host_table(addresses, drawn), host_table(flows, drawn)
        # zeros are not touched before they are used
        self._names = np.zeros((addresses, NAMES, NAME_WORDS), dtype=np.int64)
        self._texts = np.zeros((addresses, NAMES, NAME_BYTES), dtype=np.uint8)
        self._hellos = np.zeros((flows, HELLO_BYTES), dtype=np.uint8)
        self._hello_lengths = np.zeros(flows, dtype=np.int64)
        self._seen_ns = np.zeros(addresses, dtype=np.int64), np.zeros(flows, dtype=np.int64)
        self._counts = np.zeros(2, dtype=np.int64)
        self._record = np.zeros(IDENTITY_WIDTH, dtype=np.int64)
        self._asked = np.zeros((1, SIGHTING_WORDS), dtype=np.int64)
        self._rows = np.zeros(3, dtype=np.int64)
        self._waiting = NO_SIGHTINGS
        self._order = np.empty(0, dtype=np.int64)  # of these
        self._next = 0  # in this order
        self._added: list[Sightings] = []  # since they were put in order
        self._count = 0  # of all that wait

    @property
    def evicted(self) -> dict[str, int]:
        """What gave way before its time so far, by store."""
        names, hellos = self._counts.tolist()
        return {"names": names, "hellos": hellos}

    def add(self, seen: Sightings) -> None:
        """Have sightings wait for their moment; in any order, but none of before one that was taken."""
        if not len(seen):
            return
        self._added.append(seen)
        self._count += len(seen)
        if self._count > WAITING:
            self._put_in_order()
            # With all of that moment: where time stands still there is none before it.
            self.take_until(int(self._waiting.words[self._order[-WAITING], S_TIME_NS]) + 1)

    @property
    def waiting(self) -> int:
        """How many sightings wait."""
        return self._count

    @property
    def waiting_bytes(self) -> int:
        """Bytes of what waits, and was put in order."""
        return self._waiting.words.nbytes + self._waiting.text.nbytes

    def _put_in_order(self) -> None:
        if self._added:
            self._waiting = joined([self._left(), *self._added] if self._next < len(self._order) else self._added)
            self._order, self._next, self._added = in_order(self._waiting.words), 0, []

    def _left(self) -> Sightings:
        words, rest = self._waiting.words, self._order[self._next :]
        left = Sightings(
            np.empty((len(rest), SIGHTING_WORDS), dtype=np.int64),
            np.empty(words[rest, S_LENGTH].sum(), dtype=np.uint8),
        )
        copy_sightings(words, self._waiting.text, self._order, self._next, left.words, left.text)
        return left

    def take_until(self, until_ns: int) -> None:
        """Take the sightings of before a moment of the meter's clock."""
        self._put_in_order()
        words, order = self._waiting.words, self._order
        if self._next == len(order) or words[order[self._next], S_TIME_NS] >= until_ns:
            return
        addresses, flows = self._addresses, self._flows
        with np.errstate(over="ignore"):  # the hash wraps around; only interpreted kernels notice
            self._next = store_sightings(
                words, self._waiting.text, order, self._next, until_ns,
                addresses.slots, addresses.keys, addresses.links, addresses.ends, addresses.seed,
                self._seen_ns[0], self._names, self._texts,
                flows.slots, flows.keys, flows.links, flows.ends, self._seen_ns[1],
                self._hello_lengths, self._hellos, self._counts,
            )  # fmt: skip
        self._count = len(order) - self._next
        if not self._count:
            self._waiting, self._order, self._next = NO_SIGHTINGS, order[:0], 0

    def known(self, record: Int64s, now_ns: int) -> Known | None:
        """What is known of a flow, None for nothing. record: (IDENTITY_WIDTH,) words of FlowBatch.identity."""
        self._record[:] = record  # whose memory may be of a kind that no kernel was compiled for
        addresses, flows = self._addresses, self._flows
        with np.errstate(over="ignore"):
            found = find_rows(
                self._record, self._asked, addresses.slots, addresses.keys, addresses.seed, flows.slots, flows.keys,
                self._rows,
            )  # fmt: skip
        if not found:
            return None
        first, second, hello = self._rows.tolist()
        return Known(self._names_at(first, now_ns), self._names_at(second, now_ns), self._hello_at(hello))

    def _names_at(self, row: int, now_ns: int) -> KnownNames | None:
        if row == ABSENT:
            return None
        return KnownNames(now_ns, self._names[row].tobytes(), self._texts[row].tobytes())

    def _hello_at(self, row: int) -> KnownHello | None:
        if row == ABSENT:
            return None
        return KnownHello(int(self._seen_ns[1][row]), self._hellos[row, : self._hello_lengths[row]].tobytes())


def in_order(words: Words) -> Int64s:
    """Numbers of sightings by their times; those of one moment in an order that their words alone give."""
    order = np.empty(len(words), dtype=np.int64)
    if put_in_order(words, order):
        return order
    return np.lexsort(tuple(words[:, column] for column in reversed(_ORDER)))


def warm_up_names() -> None:
    """Have the kernels compiled that read names and keep them."""
    reader, store = MarkReader(marks=1), SightingStore(1, 1)
    reader.read(np.zeros(1, dtype=np.uint8), 1)
    for until_ns in (0, 1):  # the first one waits
        store.add(Sightings(np.zeros((1, SIGHTING_WORDS), dtype=np.int64), np.zeros(1, dtype=np.uint8)))
        store.take_until(until_ns)
    store.known(np.zeros(IDENTITY_WIDTH, dtype=np.int64), 1)
