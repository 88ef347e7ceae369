"""Packets of alerts: those of the flows that each alert rests on go into a small capture named after the alert.

A flow is told of when the meter reports it, at the latest, so its packets are looked for in the ring of the latest
ones. Every packet of these flows is accounted for: kept, gone from memory by then, over a limit, or lost with a disk
that took no more. It knows no interface, no model and no clock but the alerts' own.
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
    IP_VERSION,
    PROTOCOL,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    VLAN,
)
from flows.block import Int64s
from flows.columns import INDEX
from sensor.alerts.alert import Alert, Observer
from sensor.alerts.alert_flow import AlertFlow, AlertItem
from sensor.files.descriptors import reason_of
from sensor.packets.capture import SmallCapture
from sensor.packets.directory import SUFFIX, PacketDirectory
from sensor.packets.pcapng import warm_packet_builder
from sensor.packets.ring import KEY_WORDS, PacketRing, Remembered, warm_packet_ring
from sensor.printable import printable
from sensor.progress.progress import KeptPackets

# Files that may be begun at once, and how long one more takes, in traffic time: a storm shall not become one of files.
_BURST: Final = 512
_EACH_NS: Final = 250_000_000
FLOWS: Final = 256  # of an alert that it can be told of: their packets are looked for
_PACKETS: Final = (INDEX["fwd_packets"], INDEX["bwd_packets"])
_NONE: Final[Int64s] = np.empty(0, dtype=np.int64)


@dataclass(slots=True)
class _Sought:
    """A flow's packets up to end_ns that lay before `position` have been looked for. told: how many there are."""

    start_ns: int
    end_ns: int
    position: int
    told: int


@dataclass(slots=True)
class _Kept:
    """One alert's capture and the account of its flows' packets.

    size: captured bytes of the packets in it. gone: had left the memory. flows: that were handed on; all_flows: as
    the alert last said.
    """

    name: str
    capture: SmallCapture
    packets: int = 0
    size: int = 0
    gone: int = 0
    over: int = 0
    lost: int = 0
    waiting: list[AlertFlow] = field(default_factory=list)
    sought: dict[bytes, _Sought] = field(default_factory=dict)  # by key
    flows: int = 0
    all_flows: int = 0
    comment: str = ""
    begun: bool = False
    closed: bool = False


class Keeper:
    """Keeps the packets of one run's alerts: give it alerts and flows as they come, and have it write.

    problem: None, or why a file could not be written, one line; of the first one.
    """

    def __init__(
        self,
        ring: PacketRing,
        directory: PacketDirectory,
        observer: Observer,
        *,
        interfaces: Sequence[str] = ("",),
        most_packets: int,
        most_bytes: int,
    ) -> None:
        """ring: remembers the run's packets. interfaces: names by number. most_packets, most_bytes: for each alert."""
        self.ring = ring
        self.problem: str | None = None
        self._directory = directory
        self._observer = observer
        self._interfaces = tuple(interfaces)
        self._most_packets = most_packets
        self._most_bytes = most_bytes
        self._open: dict[str, _Kept] = {}
        self._due: dict[str, _Kept] = {}
        self._credit_ns = _BURST * _EACH_NS
        self._counted_ns = 0
        self._files = self._packets = self._bytes = self._gone = self._over = self._lost = self._without = 0

    @property
    def due(self) -> bool:
        """Whether there is something to write."""
        return bool(self._due)

    @property
    def state(self) -> KeptPackets:
        """What was kept and what was not, up to now."""
        return KeptPackets(
            files=self._files,
            packets=self._packets,
            bytes=self._bytes,
            forgotten=self._gone,
            over_limit=self._over,
            lost=self._lost,
            alerts_without=self._without,
            files_deleted=self._directory.deleted,
        )

    def retain(self, items: Sequence[AlertItem]) -> list[AlertItem]:
        """Note what is to be kept; returns the items in their order, alerts with the names of their files."""
        return [self._with_file(item) if isinstance(item, Alert) else self._with_packets(item) for item in items]

    def write(self) -> None:
        """Find the packets of the flows that were told of since the last call and write them.

        What cannot be written is counted, and `problem` says why; the next file is tried nevertheless.
        """
        due, self._due = self._due, {}
        for identifier, kept in due.items():
            self._write(identifier, kept)
            if kept.closed:
                del self._open[identifier]
        self.ring.pause()

    def _begin(self, alert: Alert) -> None:
        self._credit_ns = min(_BURST * _EACH_NS, self._credit_ns + max(0, alert.time_ns - self._counted_ns))
        self._counted_ns = max(self._counted_ns, alert.time_ns)
        if self._credit_ns < _EACH_NS:
            self._without += 1
            return
        self._credit_ns -= _EACH_NS
        name = alert.id + SUFFIX
        self._directory.begin(name)
        self._open[alert.id] = self._due[alert.id] = _Kept(name, SmallCapture(self._interfaces))

    def _with_file(self, alert: Alert) -> Alert:
        if alert.action == "opened":
            self._begin(alert)
        kept = self._open.get(alert.id)
        if kept is None:
            return alert
        kept.all_flows = alert.spread.flows
        if alert.action == "closed":
            kept.closed = True
            self._due[alert.id] = kept
        return replace(alert, packets_file=kept.name)

    def _with_packets(self, flow: AlertFlow) -> AlertFlow:
        kept = self._open.get(flow.alert_id)
        if kept is not None:
            kept.waiting.append(flow)
            self._due[flow.alert_id] = kept
        return flow

    def _write(self, identifier: str, kept: _Kept) -> None:
        gone, over = kept.gone, kept.over
        if kept.begun and not self._directory.holds(kept.name):  # it gave way or was deleted: it does not come again
            kept.packets = self._most_packets
        # of flows with one key the earlier one first: what lies before a flow's end is not looked for again
        flows, kept.waiting = sorted(kept.waiting, key=lambda flow: flow.identity[END_NS]), []
        positions = np.unique(np.concatenate([_NONE, *(self._look(kept, flow) for flow in flows)]))
        found = self.ring.packets(positions)
        size = int(found.block.caplen.sum())
        if self._stored(identifier, kept, found):
            self._packets += len(positions)
            self._bytes += size
        else:
            kept.packets, kept.size = kept.packets - len(positions), kept.size - size
            kept.lost += len(positions)
            self._lost += len(positions)
        self._gone += kept.gone - gone
        self._over += kept.over - over

    def _look(self, kept: _Kept, flow: AlertFlow) -> Int64s:
        """Positions of a flow's packets that were not looked for yet, as far as there is room for them."""
        key = flow_key(flow.identity)
        start_ns, end_ns = flow.identity[START_NS], flow.identity[END_NS]
        told = sum(int(flow.values[column]) for column in _PACKETS)
        known = kept.sought.get(key.tobytes())
        same = known is not None and known.start_ns == start_ns
        fresh = told - known.told if known is not None and same else told
        kept.flows += not same
        seen_position, seen_ns = (known.position, known.end_ns) if known is not None else (0, -1)
        kept.sought[key.tobytes()] = _Sought(start_ns, end_ns, self.ring.head, told)
        room, room_bytes = self._most_packets - kept.packets, self._most_bytes - kept.size
        if room <= 0 or room_bytes <= 0:
            kept.over += max(0, fresh)
            return _NONE
        count, positions = self.ring.find(key, (start_ns, end_ns), seen_position, seen_ns, room)
        sizes = np.cumsum(self.ring.lengths(positions))
        positions = positions[sizes <= room_bytes]
        kept.packets += len(positions)
        kept.size += int(sizes[len(positions) - 1]) if len(positions) else 0
        kept.gone += max(0, fresh - count)
        kept.over += count - len(positions)
        return positions

    def _stored(self, identifier: str, kept: _Kept, found: Remembered) -> bool:
        """Whether the alert's file holds what was found, or nothing was to be stored."""
        if kept.begun and not self._directory.holds(kept.name):
            return True
        comment = self._comment(identifier, kept)
        if kept.begun and not len(found.block) and (comment == kept.comment or not kept.closed):
            return True
        try:
            before = self._directory.read(kept.name) if kept.begun else b""
            content = kept.capture.content(comment, before, found)
            self._directory.write(kept.name, content)
        except OSError as error:
            if self.problem is None:
                self.problem = f"{self._directory.path / kept.name}: packets cannot be written: {reason_of(error)}"
            return False
        self._files += not kept.begun
        kept.begun, kept.comment = True, comment
        return True

    def _comment(self, identifier: str, kept: _Kept) -> str:
        missing = (
            (kept.gone, "had left the memory"),
            (kept.over, "over the limit of this file"),
            (kept.lost, "could not be written"),
        )
        left_out = ", ".join(f"{count} {why}" for count, why in missing if count) or "none"
        return (
            f"flowvigil alert {identifier}, sensor {printable(self._observer.name, 64)} "
            f"{printable(self._observer.version, 24)}: {kept.packets} packets of {kept.flows} of its "
            f"{max(kept.flows, kept.all_flows)} flows; packets of these that are missing: {left_out}"
        )


def warm_keeper() -> None:
    """Have every kernel compiled that keeping packets needs."""
    warm_packet_ring()
    warm_packet_builder()


def flow_key(identity: Sequence[int]) -> Int64s:
    """The six words by which a packet's fields tell its flow (flows.layout), of the words of FlowBatch.identity."""
    source = identity[SRC_HIGH], identity[SRC_LOW], identity[SRC_PORT]
    target = identity[DST_HIGH], identity[DST_LOW], identity[DST_PORT]
    first, second = sorted((source, target))  # as flows.decode.comes_first orders them
    ports = identity[IP_VERSION] << 40 | identity[PROTOCOL] << 32 | first[2] << 16 | second[2]
    key = np.array([first[0], first[1], second[0], second[1], ports, identity[VLAN]], dtype=np.int64)
    assert len(key) == KEY_WORDS  # noqa: S101
    return key
