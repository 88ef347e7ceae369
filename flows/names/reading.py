"""Marked packets read: what they say of addresses and flows, in the packets' order."""

from dataclasses import dataclass

import numpy as np

from flows.block import Bytes, Int64s
from flows.names.dns import MAX_SIGHTINGS, ROOM_OF_ANSWER, read_answer
from flows.names.hello import read_hello
from flows.names.layout import (
    DNS_ANSWER,
    HELLO,
    HELLO_BYTES,
    HELLO_OF_FLOW,
    K_A_HIGH,
    K_AT,
    K_END,
    K_KIND,
    K_SEQUENCE,
    K_STAMP_NS,
    K_TIME_NS,
    K_VLAN,
    MARK_WORDS,
    NAME_ROOM,
    S_A_HIGH,
    S_DIGEST,
    S_FROM,
    S_KIND,
    S_LENGTH,
    S_STAMP_NS,
    S_TIME_NS,
    SIGHTING_WORDS,
    Marks,
    Words,
)
from flows.names.segments import BEGUN, BEGUN_WORDS, G_HAVE, NONE, ROOM, add_part, begin_hello, row_of
from flows.names.text import digest_of
from kernels.jit import Word, entry, inner

MARKS = 1024  # packets that are marked before they are read
_WORDS = 4096
_TEXT = 256 * 1024
_ROOM = max(ROOM_OF_ANSWER, HELLO_BYTES)  # bytes of text of one packet at most


@dataclass(frozen=True, slots=True)
class Sightings:
    """What packets said, in the order of their times by the meter's clock."""

    words: Words  # (n, SIGHTING_WORDS)
    text: Bytes  # (t,) the names, and what is kept of hellos

    def __len__(self) -> int:
        return len(self.words)


NO_SIGHTINGS = Sightings(np.empty((0, SIGHTING_WORDS), dtype=np.int64), np.empty(0, dtype=np.uint8))


@inner
def read_part(
    buffer: Bytes, marks: Marks, m: Word, begun: Int64s, rooms: Bytes, hand: Int64s, name: Bytes, text: Bytes,
    filled: Word,
) -> Word:  # fmt: skip
    """Write what is kept of the hello that a mark begins or goes on with; returns the bytes of text by then."""
    at, stop = marks[m, K_AT], marks[m, K_END]
    if marks[m, K_KIND] == HELLO:
        row = begin_hello(buffer, at, stop, marks, m, begun, rooms, hand)
        if row == NONE:
            return read_hello(buffer, at, stop, name, text, filled)
    else:
        row = row_of(marks, m, begun)
    if row == NONE or not add_part(buffer, at, stop, marks[m, K_SEQUENCE], begun, rooms, row):
        return filled
    return read_hello(rooms, row * ROOM, row * ROOM + begun[row, G_HAVE], name, text, filled)


@entry
def read_marks(
    buffer: Bytes, marks: Marks, first: int, end: int, begun: Int64s, rooms: Bytes, hand: Int64s, name: Bytes,
    words: Words, text: Bytes, counts: Int64s,
) -> int:  # fmt: skip
    """Read marks from the first one on while there is room; returns the number of the next one.

    begun: (b, BEGUN_WORDS), rooms: (b * ROOM,), hand: (1,) hellos that go on (flows.names.segments). name: (NAME_ROOM,)
    scratch. counts: (2,) gets the sightings and the bytes of text.
    """
    n = filled = np.int64(0)
    m = first
    while m < end and n + MAX_SIGHTINGS <= len(words) and filled + _ROOM <= len(text):
        if marks[m, K_KIND] == DNS_ANSWER:
            n, filled = read_answer(buffer, marks[m, K_AT], marks[m, K_END], marks, m, name, words, n, text, filled)
        else:
            upto = read_part(buffer, marks, m, begun, rooms, hand, name, text, filled)
            if upto > filled:
                words[n, S_TIME_NS], words[n, S_STAMP_NS] = marks[m, K_TIME_NS], marks[m, K_STAMP_NS]
                words[n, S_KIND] = HELLO_OF_FLOW
                for w in range(K_VLAN + 1 - K_A_HIGH):
                    words[n, S_A_HIGH + w] = marks[m, K_A_HIGH + w]
                words[n, S_FROM], words[n, S_LENGTH] = filled, upto - filled
                words[n, S_DIGEST] = digest_of(text, filled, upto)
                n += 1
            filled = upto
        m += 1
    counts[0], counts[1] = n, filled
    return m


class MarkReader:
    """Marks of a meter, and what was read of them since somebody last asked."""

    def __init__(self, marks: int = MARKS) -> None:
        """marks: how many there is room for."""
        self.marks = np.zeros(marks * MARK_WORDS, dtype=np.int64)
        # zeros are not touched before they are used
        self._begun = np.zeros((BEGUN, BEGUN_WORDS), dtype=np.int64)
        self._rooms = np.zeros(BEGUN * ROOM, dtype=np.uint8)
        self._hand = np.zeros(1, dtype=np.int64)
        self._name = np.zeros(NAME_ROOM, dtype=np.uint8)
        self._words = np.zeros((_WORDS, SIGHTING_WORDS), dtype=np.int64)
        self._text = np.zeros(_TEXT, dtype=np.uint8)
        self._counts = np.zeros(2, dtype=np.int64)
        self._seen: list[Sightings] = []

    def read(self, buffer: Bytes, count: int) -> None:
        """Read the first marks, which are of packets in the buffer."""
        marks = self.marks.reshape(-1, MARK_WORDS)
        first = 0
        while first < count:
            first = read_marks(
                buffer, marks, first, count, self._begun, self._rooms, self._hand, self._name,
                self._words, self._text, self._counts,
            )  # fmt: skip
            sightings, size = self._counts.tolist()
            if sightings:
                self._seen.append(Sightings(self._words[:sightings].copy(), self._text[:size].copy()))

    def take(self) -> Sightings:
        """What was read since the last call."""
        seen, self._seen = self._seen, []
        return joined(seen)


def joined(seen: list[Sightings]) -> Sightings:
    """Sightings one after the other."""
    if len(seen) <= 1:
        return seen[0] if seen else NO_SIGHTINGS
    words = np.concatenate([each.words for each in seen])
    shifts = np.cumsum([0, *(len(each.text) for each in seen[:-1])])
    words[:, S_FROM] += np.repeat(shifts, [len(each) for each in seen])
    return Sightings(words, np.concatenate([each.text for each in seen]))
