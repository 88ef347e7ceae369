"""What was seen last of each address and flow: bounded tables, not seen for longest out first.

It takes sightings in the order of their times, up to a moment, and tells what was known then. Who gives way and what
is told depends on the sightings alone, not on how they were cut into portions or on the seed of the hash.
"""

import secrets
from dataclasses import dataclass

import numpy as np

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
    for place in range(NAMES):
        if names[row, place, N_KIND] == words[i, S_KIND] and names[row, place, N_LENGTH] == words[i, S_LENGTH]:
            same = True
            for b in range(words[i, S_LENGTH]):
                same = same and texts[row, place, b] == text[words[i, S_FROM] + b]
            if same:
                return place
        if names[row, place, N_TIME_NS] < names[row, oldest, N_TIME_NS]:
            oldest = place
    return oldest


@entry
def store_sightings(
    words: Words, text: Bytes, first: int, until_ns: int,
    slots: Slots, keys: Int64s, links: Int64s, ends: Int64s, seed: Seed,
    seen_ns: Int64s, names: Int64s, texts: Bytes,
    flow_slots: Slots, flow_keys: Int64s, flow_links: Int64s, flow_ends: Int64s, flow_seen_ns: Int64s,
    hello_lengths: Int64s, hellos: Bytes, counts: Int64s,
) -> int:  # fmt: skip
    """Take the sightings of before a moment; returns the number of the next one.

    counts: (2,) addresses and flows that gave way before their time.
    """
    i = first
    while i < len(words) and words[i, S_TIME_NS] < until_ns:
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
        i += 1
    return i


@entry
def find_rows(
    words: Words, slots: Slots, keys: Int64s, seed: Seed, flow_slots: Slots, flow_keys: Int64s, rows: Int64s
) -> None:
    """Rows of the address of the first sighting and of the flow of the second one, ABSENT for none. rows: (2,)."""
    rows[0] = find(address_key(words[0, S_A_HIGH], words[0, S_PORTS] >> 40), words[0, S_A_LOW], slots, keys, seed)
    high, low = flow_key(words, 1, seed)
    rows[1] = find(high, low, flow_slots, flow_keys, seed)


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
        self._asked = np.zeros((2, SIGHTING_WORDS), dtype=np.int64)
        self._rows = np.zeros(2, dtype=np.int64)
        self._waiting = NO_SIGHTINGS
        self._next = 0  # of these
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
            self.take_until(int(self._waiting.words[len(self._waiting) - WAITING, S_TIME_NS]))

    @property
    def waiting(self) -> int:
        """How many sightings wait."""
        return self._count

    def _put_in_order(self) -> None:
        if self._added:
            left = Sightings(self._waiting.words[self._next :], self._waiting.text)
            parts = [left, *self._added] if len(left) else self._added
            self._waiting, self._next, self._added = in_order(joined(parts)), 0, []

    def take_until(self, until_ns: int) -> None:
        """Take the sightings of before a moment of the meter's clock."""
        self._put_in_order()
        words = self._waiting.words
        if self._next == len(words) or words[self._next, S_TIME_NS] >= until_ns:
            return
        addresses, flows = self._addresses, self._flows
        with np.errstate(over="ignore"):  # the hash wraps around; only interpreted kernels notice
            self._next = store_sightings(
                words, self._waiting.text, self._next, until_ns,
                addresses.slots, addresses.keys, addresses.links, addresses.ends, addresses.seed,
                self._seen_ns[0], self._names, self._texts,
                flows.slots, flows.keys, flows.links, flows.ends, self._seen_ns[1],
                self._hello_lengths, self._hellos, self._counts,
            )  # fmt: skip
        self._count = len(words) - self._next
        if not self._count:
            self._waiting, self._next = NO_SIGHTINGS, 0

    def names_of(self, version: int, high: int, low: int, now_ns: int) -> list[SeenName]:
        """Names of an address that were seen within a day before a moment, the latest first."""
        self._asked[0, [S_A_HIGH, S_A_LOW, S_PORTS]] = high, low, version << 40
        row = self._find()[0]
        if row == ABSENT:
            return []
        told = []
        for place, words in enumerate(self._names[row].tolist()):
            if words[N_LENGTH] and now_ns - words[N_TIME_NS] < NAMED_NS:
                name = self._texts[row, place, : words[N_LENGTH]].tobytes().decode("ascii")
                asker = words[N_VERSION], words[N_HIGH], words[N_LOW]
                seen = SeenName(name, words[N_STAMP_NS], words[N_KIND] == REVERSE, asker)
                told.append((words[N_TIME_NS], seen))
        return [seen for _, seen in sorted(told, key=lambda each: (-each[0], each[1].name))]

    def hello_of(self, key: list[int], begin_ns: int, end_ns: int) -> ClientHello | None:
        """The latest hello of a flow, where it was seen between two moments.

        key: its endpoints, ports and VLAN as a decoded packet has them.
        """
        self._asked[1, S_A_HIGH : S_VLAN + 1] = key
        row = self._find()[1]
        if row == ABSENT or not begin_ns <= self._seen_ns[1][row] <= end_ns:
            return None
        return client_hello(self._hellos[row, : self._hello_lengths[row]].tobytes())

    def _find(self) -> list[int]:
        addresses, flows = self._addresses, self._flows
        with np.errstate(over="ignore"):
            find_rows(self._asked, addresses.slots, addresses.keys, addresses.seed, flows.slots, flows.keys, self._rows)
        found: list[int] = self._rows.tolist()
        return found


def in_order(seen: Sightings) -> Sightings:
    """Sightings in the order of their times; those of one moment in an order that their words alone give."""
    words = seen.words
    if (np.diff(words[:, S_TIME_NS]) > 0).all():
        return seen
    order = np.lexsort(tuple(words[:, column] for column in reversed(_ORDER)))
    return Sightings(words[order], seen.text)


def warm_up_names() -> None:
    """Have the kernels compiled that read names and keep them."""
    reader, store = MarkReader(marks=1), SightingStore(1, 1)
    reader.read(np.zeros(1, dtype=np.uint8), 1)
    store.add(Sightings(np.zeros((1, SIGHTING_WORDS), dtype=np.int64), np.zeros(1, dtype=np.uint8)))
    store.take_until(1)
    store.names_of(4, 0, 0, 1)
