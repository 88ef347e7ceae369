"""Ring of the latest packets in memory, indexed by flow key: the packets of a flow are found once it is reported.

Packets lie one behind the other in one array, with a header each; the oldest are evicted, one by one. Those of one hash
bucket are chained from the newest to the oldest, so a search costs the length of its bucket's chain, however large the
ring is. Key and time of a packet are the meter's own: the same decoding, fragments and clock, with a state of its own
that sees the same packets. Packets without a flow are not added. It knows no alert and no file.
"""

import secrets
from dataclasses import dataclass
from typing import Final

import numpy as np

from flows.block import Bytes, Int64s, PacketBlock
from flows.clock import clamp_time
from flows.decode import DECODED, decode
from flows.fragments import fragment_table, resolve_fragment
from flows.layout import (
    M_CLOCK_CANDIDATE_NS,
    M_CLOCK_NS,
    M_CONFIRMED,
    M_DECAPSULATE,
    M_VLAN_IN_KEY,
    P_TIME_NS,
    P_VLAN,
    PACKET_FIELDS,
    REGISTERS,
    UNSET,
)
from flows.meter import NO_PACKETS
from flows.table import HASH_KEYS, hash_key
from kernels.jit import U, Word, entry, inner

# Words of a packet's header. A key has the six words that flows.layout begins a packet's fields with.
(
    H_LENGTHS,  # captured bytes << 32 | bytes on the wire; 0: the next packet lies at the ring's beginning
    H_SOURCE,  # interface << 32 | link type
    H_WALL_NS,  # timestamp of the wall clock
    H_TIME_NS,  # time in the meter's clock: never before that of the packet before it
    H_OLDER,  # position + 1 of the next older packet of its bucket, 0 none
    H_KEY,
) = range(6)
KEY_WORDS: Final = P_VLAN + 1
HEADER_WORDS: Final = H_KEY + KEY_WORDS
LOW32: Final = 0xFFFFFFFF
WORD: Final = 8  # bytes
BUCKET_WORDS: Final = 128  # of the ring for each bucket
# A pause for a search is due whenever this share of the ring is new: 16 searches can reach each packet.
PAUSES: Final = 16

# A position counts words since the start and never wraps round; modulo the ring's length it is a place. The places of
# head and tail stand beside them, because divisions cost more than all else here.
S_HEAD, S_HEAD_AT, S_TAIL, S_TAIL_AT, S_ADDED, S_PAUSED, STATE_WORDS = range(7)


@inner
def make_room(words: Int64s, state: Int64s, end: Word) -> None:
    """Evict the oldest packets until the ring reaches to a position."""
    capacity = len(words)
    head, tail, tail_at = state[U(S_HEAD)], state[U(S_TAIL)], state[U(S_TAIL_AT)]
    while end - tail > capacity and tail < head:
        lengths = words[U(tail_at)]
        size = HEADER_WORDS + (((lengths >> 32) + 7) >> 3) if lengths else capacity - tail_at
        tail += size
        tail_at = tail_at + size if tail_at + size < capacity else 0
    state[U(S_TAIL)], state[U(S_TAIL_AT)] = tail, tail_at


@entry
def add_packets(
    buffer: Bytes,
    offset: Int64s,
    caplen: Int64s,
    wirelen: Int64s,
    ts_ns: Int64s,
    clock_ns: Int64s,
    linktype: Int64s,
    interface: Int64s,
    first: Word,
    clock_step_ns: Word,
    pause_words: Word,
    words: Int64s,
    octets: Bytes,
    buckets: Int64s,
    keys: Int64s,
    fields: Int64s,
    fragments: Int64s,
    registers: Int64s,
    state: Int64s,
) -> Word:
    """Add packets from `first` on until pause_words are new since the last pause; returns the number of the next one.

    octets: the bytes of `words`. clock_step_ns: is added to each stamp.
    """
    capacity = len(words)
    for i in range(first, len(offset)):
        start, captured = offset[U(i)], caplen[U(i)]
        end, wire_end, link = start + captured, start + wirelen[U(i)], linktype[U(i)]
        reason = decode(buffer, start, end, wire_end, link, registers[U(M_DECAPSULATE)], fields, 0)
        time_ns = clamp_time(registers, clock_ns[U(i)])
        if registers[U(M_VLAN_IN_KEY)] == 0:
            fields[U(P_VLAN)] = 0
        fields[U(P_TIME_NS)] = time_ns
        if reason < DECODED:
            reason = resolve_fragment(buffer, start, end, wire_end, link, fragments, registers, fields, 0, keys, reason)
        needed = HEADER_WORDS + ((captured + 7) >> 3)
        if reason != DECODED or needed > capacity:
            continue
        head, head_at = state[U(S_HEAD)], state[U(S_HEAD_AT)]
        begun, at = head, head_at
        if head_at + needed > capacity:  # a packet lies in one piece
            begun, at = head + capacity - head_at, 0
        make_room(words, state, begun + needed)
        if state[U(S_TAIL)] >= head:  # all were evicted
            state[U(S_TAIL)], state[U(S_TAIL_AT)] = begun, at
        if begun != head:
            words[U(head_at)] = 0
        bucket = hash_key(fields, 0, keys) & (len(buckets) - 1)
        words[U(at + H_LENGTHS)] = (captured << 32) | (wirelen[U(i)] & LOW32)
        words[U(at + H_SOURCE)] = (interface[U(i)] << 32) | linktype[U(i)]
        words[U(at + H_WALL_NS)] = ts_ns[U(i)] + clock_step_ns
        words[U(at + H_TIME_NS)] = time_ns
        words[U(at + H_OLDER)] = buckets[U(bucket)]
        for w in range(KEY_WORDS):
            words[U(at + H_KEY + w)] = fields[U(w)]
        body = (at + HEADER_WORDS) * WORD
        for byte in range(captured):
            octets[U(body + byte)] = buffer[U(start + byte)]
        buckets[U(bucket)] = begun + 1
        state[U(S_HEAD)] = begun + needed
        state[U(S_HEAD_AT)] = at + needed if at + needed < capacity else 0
        state[U(S_ADDED)] += 1
        if begun + needed - state[U(S_PAUSED)] >= pause_words:
            state[U(S_PAUSED)] = begun + needed
            return i + 1
    return len(offset)


@entry
def find_packets(
    words: Int64s,
    buckets: Int64s,
    keys: Int64s,
    state: Int64s,
    key: Int64s,
    start_ns: Word,
    end_ns: Word,
    seen_position: Word,
    seen_ns: Word,
    newest: Int64s,
    oldest: Int64s,
) -> Word:
    """Count a flow's packets within a span of time; writes positions of the newest and of the oldest ones.

    Packets before seen_position that are no later than seen_ns are left out. `newest` is filled first, newest first. Of
    n others, with m entries in `oldest`, the entry (n - 1 - j) % m is the j-th oldest packet, j < m.
    """
    capacity = len(words)
    count = 0
    link = buckets[U(hash_key(key, 0, keys) & (len(buckets) - 1))]
    while link > state[U(S_TAIL)]:
        position = link - 1
        at = position % capacity
        time_ns = words[U(at + H_TIME_NS)]
        if time_ns < start_ns or (position < seen_position and time_ns <= seen_ns):
            break  # times only grow, so older packets are left out too
        link = words[U(at + H_OLDER)]
        if time_ns > end_ns:
            continue
        same = True
        for w in range(KEY_WORDS):
            same = same and words[U(at + H_KEY + w)] == key[U(w)]
        if same:
            if count < len(newest):
                newest[U(count)] = position
            elif len(oldest) > 0:
                oldest[U((count - len(newest)) % len(oldest))] = position
            count += 1
    return count


def warm_packet_ring() -> None:
    """Compile the kernels of the ring before there are packets."""
    ring = PacketRing(1 << 20)
    ring.add(NO_PACKETS, np.empty(0, dtype=np.int64))
    ring.find(np.zeros(KEY_WORDS, dtype=np.int64), (0, 0), 0, -1, 1)


@dataclass(frozen=True, slots=True)
class RingPackets:
    """Packets found in the ring; their bytes are valid until others are added."""

    block: PacketBlock
    interface_of: Int64s  # (n,) number of the interface of each packet


class PacketRing:
    """Ring of the latest packets in a fixed amount of memory."""

    def __init__(self, memory_bytes: int, *, decap: bool = False, vlan_in_key: bool = True) -> None:
        """Allocate the ring.

        memory_bytes: for packets with a header of 88 bytes each; the buckets take a hundredth more. decap,
        vlan_in_key: as of the flows.meter.Meter that sees the same packets.
        """
        # zeros are not touched before they are used, so a large ring costs memory only as it fills
        self._words: Int64s = np.zeros(memory_bytes // WORD, dtype=np.int64)
        self._octets: Bytes = self._words.view(np.uint8)
        self._buckets: Int64s = np.zeros(1 << (len(self._words) // BUCKET_WORDS).bit_length(), dtype=np.int64)
        self._keys: Int64s = np.frombuffer(secrets.token_bytes(8 * HASH_KEYS), dtype=np.int64).copy()
        self._fields: Int64s = np.zeros(PACKET_FIELDS, dtype=np.int64)
        self._fragments = fragment_table()
        self._registers: Int64s = np.zeros(REGISTERS, dtype=np.int64)
        self._registers[M_DECAPSULATE] = decap
        self._registers[M_VLAN_IN_KEY] = vlan_in_key
        self._registers[M_CLOCK_NS] = self._registers[M_CLOCK_CANDIDATE_NS] = UNSET
        self._state: Int64s = np.zeros(STATE_WORDS, dtype=np.int64)
        self._one_interface: Int64s = np.zeros(0, dtype=np.int64)

    @property
    def head(self) -> int:
        """Lower bound of the next packet's position; positions only grow."""
        return int(self._state[S_HEAD])

    @property
    def added(self) -> int:
        """Packets added so far, evicted ones included."""
        return int(self._state[S_ADDED])

    @property
    def share_since_pause(self) -> float:
        """Share of the ring that was added since the last pause."""
        return (self.head - int(self._state[S_PAUSED])) / len(self._words)

    def pause(self) -> None:
        """Mark that the packets of all reported flows have been searched."""
        self._state[S_PAUSED] = self._state[S_HEAD]

    def add(self, block: PacketBlock, interface_of: Int64s, clock_step_ns: int = 0) -> None:
        """Add the packets of a block.

        interface_of: (n,) int64. clock_step_ns: what the wall clock is ahead of the block's times.
        """
        self._add(block, interface_of, 0, clock_step_ns, 1 << 62)

    def add_until_pause(self, block: PacketBlock, first: int) -> tuple[int, bool]:
        """Add packets from `first` on until a pause is due: (number of the next packet, whether a pause is due).

        Pauses depend on the packets alone, not on how they were divided into blocks.
        """
        if len(self._one_interface) < len(block):
            self._one_interface = np.zeros(len(block), dtype=np.int64)
        paused = int(self._state[S_PAUSED])
        of = self._one_interface[: len(block)]
        following = self._add(block, of, first, 0, max(1, len(self._words) // PAUSES))
        return following, int(self._state[S_PAUSED]) != paused

    def find(
        self, key: Int64s, span_ns: tuple[int, int], seen_position: int, seen_ns: int, oldest: int, newest: int = 0
    ) -> tuple[int, Int64s]:
        """A flow's packets within a span of time, both ends included: (their count, positions in order of arrival).

        key: (6,) words of the flow key. seen_position, seen_ns: packets before that position and no later than that
        time were found earlier and are left out. oldest, newest: how many of either are wanted; where there are more
        packets, those between have no position here.
        """
        first: Int64s = np.empty(oldest, dtype=np.int64)
        last: Int64s = np.empty(newest, dtype=np.int64)
        count = int(
            find_packets(
                self._words, self._buckets, self._keys, self._state, key, *span_ns, seen_position, seen_ns, last, first
            )
        )
        others = max(0, count - newest)
        order = (others - 1 - np.arange(min(others, oldest), dtype=np.int64)) % max(1, oldest)
        return count, np.concatenate([first[order], last[: min(count, newest)][::-1]])

    def lengths(self, positions: Int64s) -> Int64s:
        """(n,) captured bytes of the packets at these positions."""
        return self._words[positions % len(self._words) + H_LENGTHS] >> 32

    def packets(self, positions: Int64s) -> RingPackets:
        """The packets at these positions, not copied: valid until others are added."""
        at = positions % len(self._words)
        lengths, source = self._words[at + H_LENGTHS], self._words[at + H_SOURCE]
        block = PacketBlock(
            buffer=self._octets,
            offset=(at + HEADER_WORDS) * WORD,
            caplen=lengths >> 32,
            wirelen=lengths & LOW32,
            ts_ns=self._words[at + H_WALL_NS],
            linktype=source & LOW32,
        )
        return RingPackets(block, source >> 32)

    def _add(self, block: PacketBlock, interface_of: Int64s, first: int, step_ns: int, pause_words: int) -> int:
        self._registers[M_CONFIRMED] = block.clock_ns is not None
        return int(
            add_packets(
                block.buffer,
                block.offset,
                block.caplen,
                block.wirelen,
                block.ts_ns,
                block.arrival_ns,
                block.linktype,
                interface_of,
                first,
                step_ns,
                pause_words,
                self._words,
                self._octets,
                self._buckets,
                self._keys,
                self._fields,
                self._fragments,
                self._registers,
                self._state,
            )
        )
