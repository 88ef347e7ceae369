"""Recording of one alert: the packets of its flows, searched in the ring, held for a while, and written to its capture.

The meter reports a flow only after its packets, so they are searched in the ring of the latest packets. Which of them
the file keeps within its limits is decided elsewhere (sensor.packets.selection): as later packets push out earlier
ones, they are held in memory for a while and written together, so that the file is not written anew for each of them.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    END_REASON,
    END_SHIFT_NS,
    IP_VERSION,
    NEW_PACKETS,
    PROTOCOL,
    SNAPSHOT,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    START_SHIFT_NS,
    VLAN,
)
from flows.block import Int64s
from flows.columns import INDEX
from sensor.alerts.alert_flow import AlertFlow
from sensor.packets.alert_capture import AlertCapture, EncodedPacket
from sensor.packets.directory import PacketDirectory
from sensor.packets.ring import KEY_WORDS, PacketRing
from sensor.packets.selection import PacketSelection, level_of

_PACKET_COUNTS: Final = (INDEX["fwd_packets"], INDEX["bwd_packets"])
_NONE: Final[Int64s] = np.empty(0, dtype=np.int64)
_REMEMBERED: Final = 512  # flows of an alert of which is known up to when their packets were searched
_HELD_SHARE: Final = 8  # a file is written when this part of its limits is held for it
_HELD_WRITES: Final = 40  # or after so many calls: 10 s of a live run
_HELD_BYTES: Final = 16 << 20  # or when more is held for all files together


@dataclass(slots=True)
class _SearchedFlow:
    """A flow whose packets were searched: those up to end_ns that lay before `position` in the ring."""

    start_ns: int
    end_ns: int
    position: int
    reported: int  # packets that the meter counted
    goes_on: bool  # it will be reported again


@dataclass(slots=True)
class PacketCounts:
    """Packets of one alert's flows, or of all alerts'."""

    told: int = 0  # of the flows, as the meter counted
    held: int = 0  # of these, that wait for the file to be written
    evicted: int = 0  # that were no longer in the ring
    lost: int = 0  # that could not be written
    packets: int = 0  # in the file
    captured_bytes: int = 0  # of these packets
    replaced: int = 0  # that were in the file and gave way to later ones

    @property
    def over_limit(self) -> int:
        """Packets beyond the limits of one file."""
        return self.told - self.packets - self.held - self.evicted - self.lost

    def add(self, other: "PacketCounts") -> None:
        """Count those of another alert too."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class Recording:
    """The capture of one alert, and the counts of its flows' packets: `add` flows, `search` for packets, `write`."""

    name: str  # of the file
    title: str  # with which its comment begins
    ring: PacketRing
    directory: PacketDirectory
    capture: AlertCapture
    max_packets: int
    max_bytes: int
    selection: PacketSelection = field(init=False)  # packets that are kept, in the file or held for it
    counts: PacketCounts = field(default_factory=PacketCounts)
    pending: list[AlertFlow] = field(default_factory=list)  # whose packets are not searched yet
    passed_level: int = 0  # flows whose numbers have a lower level were passed over, but for the first and the latest
    searched: dict[bytes, _SearchedFlow] = field(default_factory=dict)  # by flow key, the latest last
    forgot: bool = False  # some that go on are not remembered any more, or were passed over
    places: "array[int]" = field(default_factory=lambda: array("q"))  # positions of the file's packets, in its order
    gone: set[int] = field(default_factory=set)  # of these, that the file is to leave out when it is written again
    held: dict[int, EncodedPacket] = field(default_factory=dict)  # packets to be added then, by position
    held_bytes: int = 0  # captured, of these
    held_writes: int = 0  # since the first of them
    all_flows: int = 0  # as the alert last stated
    comment: str = ""  # in the file
    created: bool = False  # the file exists, or did
    begun: bool = False  # the file has the whole beginning
    deleted: bool = False  # it was, by the limit of all files or by somebody: it is not made again
    closed: bool = False  # no further packets come

    def __post_init__(self) -> None:
        self.selection = PacketSelection(self.max_packets, self.max_bytes)

    def add(self, flow: AlertFlow) -> None:
        """One more flow of the alert, whose packets are to be searched."""
        self.pending.append(flow)
        if len(self.pending) >= 2 * self.max_packets + _REMEMBERED:
            self._pass_over()

    def search(self) -> None:
        """Search the packets of the pending flows, and hold those that are kept for the file."""
        if self.created and not self.deleted and not self.directory.contains(self.name):
            self._give_up()
        # of flows with one key the earlier one first: what lies before a flow's end is not searched again
        flows, self.pending, self.passed_level = sorted(self.pending, key=_end_ns), [], 0
        latest = _latest(flows, self.selection.latest_packets)
        kept: set[int] = set()
        for at, flow in enumerate(flows):
            positions = self._find_new(flow, latest=at >= latest)
            if len(positions):
                name = hash((_start_ns(flow), *flow.identity[: DST_PORT + 1]))
                gone = self.selection.add(flow.number, name, positions, self.ring.lengths(positions))
                kept.update(positions.tolist())
                self._let_go(gone, kept)
        self._hold(np.array(sorted(kept), dtype=np.int64))

    def is_due(self, held_bytes_of_all: int) -> bool:
        """Whether the file is to be written: at once until it has the beginning, then when much or long held.

        held_bytes_of_all: captured, that wait for any alert's file. Once for each search.
        """
        self.held_writes += bool(self.held)
        return (
            self.closed
            or not self.begun
            or len(self.held) * _HELD_SHARE >= self.max_packets
            or self.held_bytes * _HELD_SHARE >= self.max_bytes
            or self.held_writes >= _HELD_WRITES
            or held_bytes_of_all > _HELD_BYTES
        )

    def write(self) -> bool:
        """Write the file, if it is to change; whether that made it.

        Raises OSError for one that cannot be written: then the packets that were to be added are lost.
        """
        comment = self._comment()
        changed = self.held or self.gone or (self.closed and comment != self.comment)
        if self.deleted or (self.created and not changed):
            return False
        try:
            previous = self.directory.read(self.name) if self.created else b""
            content, places = self.capture.encode(comment, previous, self.places, self.gone, self.held.values())
            self.directory.write(self.name, content)
        except OSError:
            self.counts.lost += len(self.held)
            self._drop_held()
            raise
        except ValueError:  # somebody wrote to it
            self._give_up()
            return False
        made = not self.created
        self.created, self.comment, self.begun = True, comment, self.selection.begun
        self.counts.replaced += len(self.gone)
        self.counts.packets, self.counts.captured_bytes = len(places), self.selection.captured_bytes
        self.places, self.gone = places, set()
        self._release()
        return made

    def _pass_over(self) -> None:
        """Leave so many pending flows as may still be of use: the first, the latest, and evenly chosen ones between."""
        selection, pending = self.selection, self.pending
        first, latest = selection.beginning_room, len(pending) - selection.latest_packets
        between = pending[first:latest]
        self.passed_level = max(self.passed_level, selection.level)
        while len(between) > self.max_packets // 2:
            between = [flow for flow in between if level_of(flow.number) >= self.passed_level]
            self.passed_level += 1
        left = {flow.number for flow in between}
        for flow in pending[first:latest]:
            if flow.number not in left:
                self.counts.told += flow.identity[NEW_PACKETS]
                self.forgot |= flow.identity[END_REASON] == SNAPSHOT
        self.pending = pending[:first] + between + pending[latest:]

    def _find_new(self, flow: AlertFlow, *, latest: bool) -> Int64s:
        """Positions of a flow's packets that were not found before, as far as they may be kept; counts them all.

        latest: whether they are among the latest of the alert.
        """
        selection, counts = self.selection, self.counts
        key, start_ns, end_ns = flow_key(flow.identity), _start_ns(flow), _end_ns(flow)
        reported = sum(int(flow.values[column]) for column in _PACKET_COUNTS)
        known = self.searched.pop(key.tobytes(), None)
        fresh = reported - known.reported if known is not None and known.start_ns == start_ns else reported
        if self.forgot:  # earlier reports may have been counted
            fresh = min(fresh, flow.identity[NEW_PACKETS])
        goes_on = flow.identity[END_REASON] == SNAPSHOT
        self._remember(key, _SearchedFlow(start_ns, end_ns, self.ring.head, reported, goes_on))
        counts.told += max(0, fresh)
        wanted = latest or selection.beginning_room > 0 or level_of(flow.number) >= selection.level
        if fresh <= 0 or not wanted or self.deleted:
            return _NONE
        seen_position, seen_ns = (known.position, known.end_ns) if known is not None else (0, -1)
        oldest, newest = selection.beginning_room, selection.most_of_a_part
        if self.forgot:
            oldest, newest = 0, min(fresh, oldest + newest)
        count, positions = self.ring.find(key, (start_ns, end_ns), seen_position, seen_ns, oldest, newest)
        if self.forgot:
            count = min(count, fresh)
            stored = self.held.keys() | set(self.places)
            positions = np.array([at for at in positions.tolist() if at not in stored], dtype=np.int64)
        counts.told += max(0, count - fresh)
        counts.evicted += max(0, fresh - count)
        return positions

    def _remember(self, key: Int64s, flow: _SearchedFlow) -> None:
        self.searched[key.tobytes()] = flow
        if len(self.searched) > _REMEMBERED:
            forgotten = self.searched.pop(next(iter(self.searched)))
            self.forgot |= forgotten.goes_on

    def _let_go(self, gone: Iterable[int], kept: set[int]) -> None:
        """Let packets go that are not kept after all. kept: positions of those that are not held yet."""
        for position in gone:
            if position in kept:
                kept.remove(position)
            elif packet := self.held.pop(position, None):
                self.held_bytes -= packet.captured
            else:
                self.gone.add(position)

    def _hold(self, positions: Int64s) -> None:
        """Copy packets out of the ring until the file is written."""
        for packet in self.capture.packets(self.ring.packets(positions), positions):
            self.held[packet.position] = packet
            self.held_bytes += packet.captured
        self.counts.held = len(self.held)

    def _drop_held(self) -> None:
        self.selection.withdraw({position: packet.captured for position, packet in self.held.items()})
        self._release()

    def _release(self) -> None:
        self.held, self.held_bytes, self.held_writes, self.counts.held = {}, 0, 0, 0

    def _give_up(self) -> None:
        """The file is gone, or another's: it is not made again."""
        self._drop_held()
        self.deleted = True

    def _comment(self) -> str:
        counts, selection = self.counts, self.selection
        missing = (
            (counts.evicted, "had left the memory"),
            (counts.told - selection.packets - counts.evicted - counts.lost, "over the limit of this file"),
            (counts.lost, "could not be written"),
        )
        left_out = ", ".join(f"{count} {why}" for count, why in missing if count) or "none"
        return (
            f"{self.title}: {selection.packets} packets of {selection.flows} of its "
            f"{max(selection.flows, self.all_flows)} flows; packets of its flows that are missing: {left_out}"
        )


def _start_ns(flow: AlertFlow) -> int:
    return flow.identity[START_NS] + flow.identity[START_SHIFT_NS]  # by the clock that the ring keeps, too


def _end_ns(flow: AlertFlow) -> int:
    return flow.identity[END_NS] + flow.identity[END_SHIFT_NS]


def _latest(flows: Sequence[AlertFlow], packets: int) -> int:
    """Place of the first flow from which on there may be so many new packets."""
    for at in range(len(flows) - 1, -1, -1):
        packets -= flows[at].identity[NEW_PACKETS]
        if packets <= 0:
            return at
    return 0


def flow_key(identity: Sequence[int]) -> Int64s:
    """Flow key of a packet, (6,) int64 (flows.layout), from the words of FlowBatch.identity."""
    source = identity[SRC_HIGH], identity[SRC_LOW], identity[SRC_PORT]
    target = identity[DST_HIGH], identity[DST_LOW], identity[DST_PORT]
    first, second = sorted((source, target))  # as flows.decode.comes_first orders them
    ports = identity[IP_VERSION] << 40 | identity[PROTOCOL] << 32 | first[2] << 16 | second[2]
    key = np.array([first[0], first[1], second[0], second[1], ports, identity[VLAN]], dtype=np.int64)
    assert len(key) == KEY_WORDS  # noqa: S101
    return key
