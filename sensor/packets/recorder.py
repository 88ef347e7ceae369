"""Recorder of the packets of alerts: those of the flows that an alert rests on are written to a capture named after it.

The meter reports a flow only after its packets, so they are searched in the ring of the latest packets. Which of them a
file keeps within its limits is decided elsewhere (sensor.packets.selection): as later packets push out earlier ones,
they are held in memory for a while and written together, so that a file is not written anew for each of them. Each
packet of these flows is counted: recorded, evicted from the ring, over a limit, or lost because the file could not be
written. It knows no interface, no model and no clock but the times of alerts.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
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
from sensor.alerts.alert import Alert, Observer
from sensor.alerts.alert_flow import AlertFlow, AlertItem
from sensor.errors import reason_of
from sensor.packets.alert_capture import AlertCapture, EncodedPacket
from sensor.packets.directory import SUFFIX, PacketDirectory
from sensor.packets.pcapng import warm_packet_builder
from sensor.packets.ring import KEY_WORDS, PacketRing, warm_packet_ring
from sensor.packets.selection import PacketSelection, level_of
from sensor.printable import printable
from sensor.progress.progress import KeptPackets

# Token bucket of new files, in traffic time: a storm of alerts must not become one of files.
_BURST_FILES: Final = 512
_NS_PER_FILE: Final = 250_000_000
_PACKET_COUNTS: Final = (INDEX["fwd_packets"], INDEX["bwd_packets"])
_NONE: Final[Int64s] = np.empty(0, dtype=np.int64)

# Alerts whose files packets are added to at once: some 100 KB each with the default limits, with many flows twice
# as much. The one that got none for longest has its file ended.
OPEN_FILES: Final = 1024
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
class _Counts:
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

    def add(self, other: "_Counts") -> None:
        """Count those of another alert too."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class _Recording:
    """The capture of one alert, and the counts of its flows' packets."""

    name: str  # of the file
    capture: AlertCapture
    selection: PacketSelection  # packets that are kept, in the file or held for it
    counts: _Counts = field(default_factory=_Counts)
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


class PacketRecorder:
    """Records the packets of one run's alerts: `retain` alerts and their flows in order, then `write` the files."""

    def __init__(
        self,
        ring: PacketRing,
        directory: PacketDirectory,
        observer: Observer,
        *,
        interfaces: Sequence[str] = ("",),
        max_packets: int,
        max_bytes: int,
        shown_in: str = "",
    ) -> None:
        """ring: holds the run's latest packets. interfaces: names by number. max_packets, max_bytes: for each alert.

        shown_in: directory, with a slash behind it, in which alerts say that their files are.
        """
        self.ring = ring
        self.problem: str | None = None  # why the first file that failed could not be written, one line
        self._directory = directory
        self._observer = observer
        self._interfaces = tuple(interfaces)
        self._max_packets = max_packets
        self._max_bytes = max_bytes
        self._shown_in = shown_in
        self._open: dict[str, _Recording] = {}
        self._due: dict[str, _Recording] = {}
        self._ended_early: set[str] = set()  # open alerts whose files are ended: no more than may be open
        self._credit_ns = _BURST_FILES * _NS_PER_FILE
        self._counted_ns = 0
        self._files = self._alerts_without = 0
        self._ended = _Counts()  # of alerts that are closed
        self._held_bytes = 0  # captured, for all files

    @property
    def due(self) -> bool:
        """Whether a file is to be written."""
        return bool(self._due)

    @property
    def state(self) -> KeptPackets:
        """Counts of recorded and missing packets so far."""
        counts = _Counts()
        recordings = {**self._due, **self._open}.values()
        for counted in (self._ended, *(recording.counts for recording in recordings)):
            counts.add(counted)
        return KeptPackets(
            files=self._files,
            packets=counts.packets,
            bytes=counts.captured_bytes,
            forgotten=counts.evicted,
            over_limit=counts.over_limit,
            replaced=counts.replaced,
            lost=counts.lost,
            alerts_without=self._alerts_without,
            files_deleted=self._directory.deleted,
        )

    def retain(self, items: Sequence[AlertItem]) -> list[AlertItem]:
        """Schedule the packets of alerts' flows for writing; returns the items, alerts with their file names."""
        return [self._with_file(item) if isinstance(item, Alert) else self._with_flow(item) for item in items]

    def write(self) -> None:
        """Search the packets of the flows retained since the last call, and write the files that are due.

        What cannot be written is counted, and `problem` states the first reason; the other files are tried anyway.
        """
        due, self._due = self._due, {}
        for identifier, recording in due.items():
            self._search(recording)
            if self._is_due(recording):
                self._flush(identifier, recording)
            if recording.closed:
                self._open.pop(identifier, None)
                self._ended.add(recording.counts)
            elif recording.held:
                self._due[identifier] = recording
        self.ring.pause()

    def close(self) -> None:
        """Let others keep packets in the directory."""
        self._directory.close()

    def _begin(self, alert: Alert) -> None:
        self._credit_ns = min(_BURST_FILES * _NS_PER_FILE, self._credit_ns + max(0, alert.time_ns - self._counted_ns))
        self._counted_ns = max(self._counted_ns, alert.time_ns)
        if self._credit_ns < _NS_PER_FILE:
            self._alerts_without += 1
            return
        self._credit_ns -= _NS_PER_FILE
        if len(self._open) >= OPEN_FILES:
            self._end_first()
        name = alert.id + SUFFIX
        self._directory.begin(name)
        selection = PacketSelection(self._max_packets, self._max_bytes)
        self._open[alert.id] = self._due[alert.id] = _Recording(name, AlertCapture(self._interfaces), selection)

    def _end_first(self) -> None:
        """End the file of the alert that got no packets for longest: it is written, and later packets are counted."""
        identifier = next(iter(self._open))
        recording = self._open.pop(identifier)
        recording.closed = True
        self._due[identifier] = recording
        self._ended_early.add(identifier)

    def _with_file(self, alert: Alert) -> Alert:
        if alert.action == "opened":
            self._begin(alert)
        recording = self._open.get(alert.id)
        if recording is None:
            ended_early = alert.id in self._ended_early
            if alert.action == "closed":
                self._ended_early.discard(alert.id)
            return replace(alert, packets_file=f"{self._shown_in}{alert.id}{SUFFIX}") if ended_early else alert
        recording.all_flows = alert.spread.flows
        if alert.action == "closed":
            recording.closed = True
            self._due[alert.id] = recording
        return replace(alert, packets_file=self._shown_in + recording.name)

    def _with_flow(self, flow: AlertFlow) -> AlertFlow:
        recording = self._open.pop(flow.alert_id, None)
        if recording is None:
            if flow.alert_id in self._ended_early:
                self._ended.told += flow.identity[NEW_PACKETS]  # over the limit of a file that is ended
        else:
            self._open[flow.alert_id] = recording  # as the latest
            recording.pending.append(flow)
            self._due[flow.alert_id] = recording
            if len(recording.pending) >= 2 * self._max_packets + _REMEMBERED:
                self._pass_over(recording)
        return flow

    def _pass_over(self, recording: _Recording) -> None:
        """Leave so many pending flows as may still be of use: the first, the latest, and evenly chosen ones between."""
        selection, pending = recording.selection, recording.pending
        first, latest = selection.beginning_room, len(pending) - selection.latest_packets
        between = pending[first:latest]
        recording.passed_level = max(recording.passed_level, selection.level)
        while len(between) > self._max_packets // 2:
            between = [flow for flow in between if level_of(flow.number) >= recording.passed_level]
            recording.passed_level += 1
        left = {flow.number for flow in between}
        for flow in pending[first:latest]:
            if flow.number not in left:
                recording.counts.told += flow.identity[NEW_PACKETS]
                recording.forgot |= flow.identity[END_REASON] == SNAPSHOT
        recording.pending = pending[:first] + between + pending[latest:]

    def _search(self, recording: _Recording) -> None:
        """Search the packets of the pending flows, and hold those that are kept for the file."""
        if recording.created and not recording.deleted and not self._directory.contains(recording.name):
            self._give_up(recording)
        # of flows with one key the earlier one first: what lies before a flow's end is not searched again
        flows, recording.pending, recording.passed_level = sorted(recording.pending, key=_end_ns), [], 0
        latest = _latest(flows, recording.selection.latest_packets)
        kept: set[int] = set()
        for at, flow in enumerate(flows):
            positions = self._find_new(recording, flow, latest=at >= latest)
            if len(positions):
                name = hash((_start_ns(flow), *flow.identity[: DST_PORT + 1]))
                gone = recording.selection.add(flow.number, name, positions, self.ring.lengths(positions))
                kept.update(positions.tolist())
                self._let_go(recording, gone, kept)
        self._hold(recording, np.array(sorted(kept), dtype=np.int64))

    def _find_new(self, recording: _Recording, flow: AlertFlow, *, latest: bool) -> Int64s:
        """Positions of a flow's packets that were not found before, as far as they may be kept; counts them all.

        latest: whether they are among the latest of the alert.
        """
        selection, counts = recording.selection, recording.counts
        key, start_ns, end_ns = flow_key(flow.identity), _start_ns(flow), _end_ns(flow)
        reported = sum(int(flow.values[column]) for column in _PACKET_COUNTS)
        known = recording.searched.pop(key.tobytes(), None)
        fresh = reported - known.reported if known is not None and known.start_ns == start_ns else reported
        if recording.forgot:  # earlier reports may have been counted
            fresh = min(fresh, flow.identity[NEW_PACKETS])
        goes_on = flow.identity[END_REASON] == SNAPSHOT
        self._remember(recording, key, _SearchedFlow(start_ns, end_ns, self.ring.head, reported, goes_on))
        counts.told += max(0, fresh)
        wanted = latest or selection.beginning_room > 0 or level_of(flow.number) >= selection.level
        if fresh <= 0 or not wanted or recording.deleted:
            return _NONE
        seen_position, seen_ns = (known.position, known.end_ns) if known is not None else (0, -1)
        oldest, newest = selection.beginning_room, selection.most_of_a_part
        if recording.forgot:
            oldest, newest = 0, min(fresh, oldest + newest)
        count, positions = self.ring.find(key, (start_ns, end_ns), seen_position, seen_ns, oldest, newest)
        if recording.forgot:
            count = min(count, fresh)
            stored = recording.held.keys() | set(recording.places)
            positions = np.array([at for at in positions.tolist() if at not in stored], dtype=np.int64)
        counts.told += max(0, count - fresh)
        counts.evicted += max(0, fresh - count)
        return positions

    def _remember(self, recording: _Recording, key: Int64s, flow: _SearchedFlow) -> None:
        recording.searched[key.tobytes()] = flow
        if len(recording.searched) > _REMEMBERED:
            forgotten = recording.searched.pop(next(iter(recording.searched)))
            recording.forgot |= forgotten.goes_on

    def _let_go(self, recording: _Recording, gone: Iterable[int], kept: set[int]) -> None:
        """Let packets go that are not kept after all. kept: positions of those that are not held yet."""
        for position in gone:
            if position in kept:
                kept.remove(position)
            elif packet := recording.held.pop(position, None):
                recording.held_bytes -= packet.captured
                self._held_bytes -= packet.captured
            else:
                recording.gone.add(position)

    def _hold(self, recording: _Recording, positions: Int64s) -> None:
        """Copy packets out of the ring until the file is written."""
        for packet in recording.capture.packets(self.ring.packets(positions), positions):
            recording.held[packet.position] = packet
            recording.held_bytes += packet.captured
            self._held_bytes += packet.captured
        recording.counts.held = len(recording.held)

    def _drop_held(self, recording: _Recording) -> None:
        recording.selection.withdraw({position: packet.captured for position, packet in recording.held.items()})
        self._release(recording)

    def _release(self, recording: _Recording) -> None:
        self._held_bytes -= recording.held_bytes
        recording.held, recording.held_bytes, recording.held_writes, recording.counts.held = {}, 0, 0, 0

    def _give_up(self, recording: _Recording) -> None:
        """The file is gone, or another's: it is not made again."""
        self._drop_held(recording)
        recording.deleted = True

    def _is_due(self, recording: _Recording) -> bool:
        """Whether the file is to be written: at once until it has the beginning, then when much or long held."""
        recording.held_writes += bool(recording.held)
        return (
            recording.closed
            or not recording.begun
            or len(recording.held) * _HELD_SHARE >= self._max_packets
            or recording.held_bytes * _HELD_SHARE >= self._max_bytes
            or recording.held_writes >= _HELD_WRITES
            or self._held_bytes > _HELD_BYTES
        )

    def _flush(self, identifier: str, recording: _Recording) -> None:
        """Write the alert's file, if it is to change."""
        comment = self._comment(identifier, recording)
        changed = recording.held or recording.gone or (recording.closed and comment != recording.comment)
        if recording.deleted or (recording.created and not changed):
            return
        try:
            previous = self._directory.read(recording.name) if recording.created else b""
            content, places = recording.capture.encode(
                comment, previous, recording.places, recording.gone, recording.held.values()
            )
            self._directory.write(recording.name, content)
        except OSError as error:
            if self.problem is None:
                self.problem = f"{self._directory.path / recording.name}: packets cannot be written: {reason_of(error)}"
            recording.counts.lost += len(recording.held)
            self._drop_held(recording)
            return
        except ValueError:  # somebody wrote to it
            self._give_up(recording)
            return
        self._files += not recording.created
        recording.created, recording.comment, recording.begun = True, comment, recording.selection.begun
        recording.counts.replaced += len(recording.gone)
        recording.counts.packets, recording.counts.captured_bytes = len(places), recording.selection.captured_bytes
        recording.places, recording.gone = places, set()
        self._release(recording)

    def _comment(self, identifier: str, recording: _Recording) -> str:
        counts, selection = recording.counts, recording.selection
        missing = (
            (counts.evicted, "had left the memory"),
            (counts.told - selection.packets - counts.evicted - counts.lost, "over the limit of this file"),
            (counts.lost, "could not be written"),
        )
        left_out = ", ".join(f"{count} {why}" for count, why in missing if count) or "none"
        return (
            f"flowvigil alert {identifier}, sensor {printable(self._observer.name, 64)} "
            f"{printable(self._observer.version, 24)}: {selection.packets} packets of {selection.flows} of its "
            f"{max(selection.flows, recording.all_flows)} flows; packets of its flows that are missing: {left_out}"
        )


def warm_packet_recorder() -> None:
    """Compile the kernels of ring and writer before there are packets."""
    warm_packet_ring()
    warm_packet_builder()


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
