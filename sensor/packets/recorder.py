"""Recorder of the packets of alerts: those of the flows that an alert rests on are written to a capture named after it.

The meter reports a flow only after its packets, so they are searched in the ring of the latest packets. Each packet of
these flows is counted: recorded, evicted from the ring, over a limit, or lost because the file could not be written. It
knows no interface, no model and no clock but the times of alerts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    END_SHIFT_NS,
    IP_VERSION,
    PROTOCOL,
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
from sensor.packets.alert_capture import AlertCapture
from sensor.packets.directory import SUFFIX, PacketDirectory
from sensor.packets.pcapng import warm_packet_builder
from sensor.packets.ring import KEY_WORDS, PacketRing, RingPackets, warm_packet_ring
from sensor.printable import printable
from sensor.progress.progress import KeptPackets

# Token bucket of new files, in traffic time: a storm of alerts must not become one of files.
_BURST_FILES: Final = 512
_NS_PER_FILE: Final = 250_000_000
MAX_FLOWS: Final = 256  # flows of an alert whose packets are recorded
_PACKET_COUNTS: Final = (INDEX["fwd_packets"], INDEX["bwd_packets"])
_NONE: Final[Int64s] = np.empty(0, dtype=np.int64)


@dataclass(slots=True)
class _SearchedFlow:
    """A flow whose packets were searched: those up to end_ns that lay before `position` in the ring."""

    start_ns: int
    end_ns: int
    position: int
    reported: int  # packets that the meter counted


@dataclass(slots=True)
class _Recording:
    """The capture of one alert, and the counts of its flows' packets."""

    name: str  # of the file
    capture: AlertCapture
    packets: int = 0  # in the file
    captured_bytes: int = 0  # of these packets
    evicted: int = 0  # packets that were no longer in the ring
    over_limit: int = 0  # packets beyond the limits of one file
    lost: int = 0  # packets that could not be written
    pending: list[AlertFlow] = field(default_factory=list)  # whose packets are not searched yet
    searched: dict[bytes, _SearchedFlow] = field(default_factory=dict)  # by flow key
    flows: int = 0  # whose packets were searched
    all_flows: int = 0  # as the alert last stated
    comment: str = ""  # in the file
    created: bool = False  # the file exists, or did
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
    ) -> None:
        """ring: holds the run's latest packets. interfaces: names by number. max_packets, max_bytes: for each alert."""
        self.ring = ring
        self.problem: str | None = None  # why the first file that failed could not be written, one line
        self._directory = directory
        self._observer = observer
        self._interfaces = tuple(interfaces)
        self._max_packets = max_packets
        self._max_bytes = max_bytes
        self._open: dict[str, _Recording] = {}
        self._due: dict[str, _Recording] = {}
        self._credit_ns = _BURST_FILES * _NS_PER_FILE
        self._counted_ns = 0
        self._files = self._packets = self._bytes = 0
        self._evicted = self._over_limit = self._lost = self._alerts_without = 0

    @property
    def due(self) -> bool:
        """Whether a file is to be written."""
        return bool(self._due)

    @property
    def state(self) -> KeptPackets:
        """Counts of recorded and missing packets so far."""
        return KeptPackets(
            files=self._files,
            packets=self._packets,
            bytes=self._bytes,
            forgotten=self._evicted,
            over_limit=self._over_limit,
            lost=self._lost,
            alerts_without=self._alerts_without,
            files_deleted=self._directory.deleted,
        )

    def retain(self, items: Sequence[AlertItem]) -> list[AlertItem]:
        """Schedule the packets of alerts' flows for writing; returns the items, alerts with their file names."""
        return [self._with_file(item) if isinstance(item, Alert) else self._with_flow(item) for item in items]

    def write(self) -> None:
        """Search the packets of the flows retained since the last call, and write them.

        What cannot be written is counted, and `problem` states the first reason; the other files are tried anyway.
        """
        due, self._due = self._due, {}
        for identifier, recording in due.items():
            self._write(identifier, recording)
            if recording.closed:
                del self._open[identifier]
        self.ring.pause()

    def _begin(self, alert: Alert) -> None:
        self._credit_ns = min(_BURST_FILES * _NS_PER_FILE, self._credit_ns + max(0, alert.time_ns - self._counted_ns))
        self._counted_ns = max(self._counted_ns, alert.time_ns)
        if self._credit_ns < _NS_PER_FILE:
            self._alerts_without += 1
            return
        self._credit_ns -= _NS_PER_FILE
        name = alert.id + SUFFIX
        self._directory.begin(name)
        self._open[alert.id] = self._due[alert.id] = _Recording(name, AlertCapture(self._interfaces))

    def _with_file(self, alert: Alert) -> Alert:
        if alert.action == "opened":
            self._begin(alert)
        recording = self._open.get(alert.id)
        if recording is None:
            return alert
        recording.all_flows = alert.spread.flows
        if alert.action == "closed":
            recording.closed = True
            self._due[alert.id] = recording
        return replace(alert, packets_file=recording.name)

    def _with_flow(self, flow: AlertFlow) -> AlertFlow:
        recording = self._open.get(flow.alert_id)
        if recording is not None:
            recording.pending.append(flow)
            self._due[flow.alert_id] = recording
        return flow

    def _write(self, identifier: str, recording: _Recording) -> None:
        evicted, over_limit = recording.evicted, recording.over_limit
        if recording.created and not self._directory.contains(recording.name):  # deleted since: it is not made again
            recording.packets = self._max_packets
        # of flows with one key the earlier one first: what lies before a flow's end is not searched again
        flows, recording.pending = (
            sorted(recording.pending, key=lambda flow: flow.identity[END_NS] + flow.identity[END_SHIFT_NS]),
            [],
        )
        positions = np.unique(np.concatenate([_NONE, *(self._find_new(recording, flow) for flow in flows)]))
        found = self.ring.packets(positions)
        captured_bytes = int(found.block.caplen.sum())
        if self._store(identifier, recording, found):
            self._packets += len(positions)
            self._bytes += captured_bytes
        else:
            recording.packets -= len(positions)
            recording.captured_bytes -= captured_bytes
            recording.lost += len(positions)
            self._lost += len(positions)
        self._evicted += recording.evicted - evicted
        self._over_limit += recording.over_limit - over_limit

    def _find_new(self, recording: _Recording, flow: AlertFlow) -> Int64s:
        """Positions of a flow's packets that were not found before, within the limits of the file."""
        key = flow_key(flow.identity)
        start_ns = flow.identity[START_NS] + flow.identity[START_SHIFT_NS]  # by the clock that the ring keeps, too
        end_ns = flow.identity[END_NS] + flow.identity[END_SHIFT_NS]
        reported = sum(int(flow.values[column]) for column in _PACKET_COUNTS)
        known = recording.searched.get(key.tobytes())
        same = known is not None and known.start_ns == start_ns
        fresh = reported - known.reported if known is not None and same else reported
        recording.flows += not same
        seen_position, seen_ns = (known.position, known.end_ns) if known is not None else (0, -1)
        recording.searched[key.tobytes()] = _SearchedFlow(start_ns, end_ns, self.ring.head, reported)
        room, room_bytes = self._max_packets - recording.packets, self._max_bytes - recording.captured_bytes
        if room <= 0 or room_bytes <= 0:
            recording.over_limit += max(0, fresh)
            return _NONE
        count, positions = self.ring.find(key, (start_ns, end_ns), seen_position, seen_ns, room)
        sizes = np.cumsum(self.ring.lengths(positions))
        positions = positions[sizes <= room_bytes]
        recording.packets += len(positions)
        recording.captured_bytes += int(sizes[len(positions) - 1]) if len(positions) else 0
        recording.evicted += max(0, fresh - count)
        recording.over_limit += count - len(positions)
        return positions

    def _store(self, identifier: str, recording: _Recording, found: RingPackets) -> bool:
        """Write the found packets to the alert's file, if any are to be; returns whether none was lost."""
        if recording.created and not self._directory.contains(recording.name):
            return True
        comment = self._comment(identifier, recording)
        if recording.created and not len(found.block) and (comment == recording.comment or not recording.closed):
            return True
        try:
            previous = self._directory.read(recording.name) if recording.created else b""
            content = recording.capture.encode(comment, previous, found)
            self._directory.write(recording.name, content)
        except OSError as error:
            if self.problem is None:
                self.problem = f"{self._directory.path / recording.name}: packets cannot be written: {reason_of(error)}"
            return False
        self._files += not recording.created
        recording.created, recording.comment = True, comment
        return True

    def _comment(self, identifier: str, recording: _Recording) -> str:
        missing = (
            (recording.evicted, "had left the memory"),
            (recording.over_limit, "over the limit of this file"),
            (recording.lost, "could not be written"),
        )
        left_out = ", ".join(f"{count} {why}" for count, why in missing if count) or "none"
        return (
            f"flowvigil alert {identifier}, sensor {printable(self._observer.name, 64)} "
            f"{printable(self._observer.version, 24)}: {recording.packets} packets of {recording.flows} of its "
            f"{max(recording.flows, recording.all_flows)} flows; packets of these that are missing: {left_out}"
        )


def warm_packet_recorder() -> None:
    """Compile the kernels of ring and writer before there are packets."""
    warm_packet_ring()
    warm_packet_builder()


def flow_key(identity: Sequence[int]) -> Int64s:
    """Flow key of a packet, (6,) int64 (flows.layout), from the words of FlowBatch.identity."""
    source = identity[SRC_HIGH], identity[SRC_LOW], identity[SRC_PORT]
    target = identity[DST_HIGH], identity[DST_LOW], identity[DST_PORT]
    first, second = sorted((source, target))  # as flows.decode.comes_first orders them
    ports = identity[IP_VERSION] << 40 | identity[PROTOCOL] << 32 | first[2] << 16 | second[2]
    key = np.array([first[0], first[1], second[0], second[1], ports, identity[VLAN]], dtype=np.int64)
    assert len(key) == KEY_WORDS  # noqa: S101
    return key
