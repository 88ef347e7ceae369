"""Recorder of the packets of alerts: those of the flows that an alert rests on are written to a capture named after it.

It decides which alerts have a file, and keeps the account: each packet of their flows is counted as recorded, evicted
from the ring, over a limit, or lost because the file could not be written. How the packets of one alert are found and
kept is another's (sensor.packets.recording). It knows no interface, no model and no clock but the times of alerts.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from flows.batch import NEW_PACKETS
from sensor.alerts.alert import Alert, Observer
from sensor.alerts.alert_flow import AlertFlow, AlertItem
from sensor.errors import reason_of
from sensor.packets.alert_capture import AlertCapture
from sensor.packets.directory import SUFFIX, PacketDirectory
from sensor.packets.pcapng import warm_packet_builder
from sensor.packets.recording import PacketCounts, Recording
from sensor.packets.ring import PacketRing, warm_packet_ring
from sensor.printable import printable
from sensor.progress.progress import KeptPackets

# Token bucket of new files, in traffic time: a storm of alerts must not become one of files.
_BURST_FILES: Final = 512
_NS_PER_FILE: Final = 250_000_000
# Alerts whose files packets are added to at once: some 100 KB each with the default limits, with many flows twice
# as much. The one that got none for longest has its file ended.
OPEN_FILES: Final = 1024


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
        self._open: dict[str, Recording] = {}
        self._due: dict[str, Recording] = {}
        self._ended_early: set[str] = set()  # open alerts whose files are ended: no more than may be open
        self._credit_ns = _BURST_FILES * _NS_PER_FILE
        self._counted_ns = 0
        self._files = self._alerts_without = 0
        self._ended = PacketCounts()  # of alerts that are closed
        self._held_bytes = 0  # captured, for all files

    @property
    def due(self) -> bool:
        """Whether a file is to be written."""
        return bool(self._due)

    @property
    def state(self) -> KeptPackets:
        """Counts of recorded and missing packets so far."""
        counts = PacketCounts()
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
            self._held_bytes -= recording.held_bytes
            recording.search()
            if recording.is_due(self._held_bytes + recording.held_bytes):
                self._write_file(recording)
            self._held_bytes += recording.held_bytes
            if recording.closed:
                self._open.pop(identifier, None)
                self._ended.add(recording.counts)
            elif recording.held:
                self._due[identifier] = recording
        self.ring.pause()

    def _write_file(self, recording: Recording) -> None:
        try:
            self._files += recording.write()
        except OSError as error:
            if self.problem is None:
                self.problem = f"{self._directory.path / recording.name}: packets cannot be written: {reason_of(error)}"

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
        sensor = f"{printable(self._observer.name, 64)} {printable(self._observer.version, 24)}"
        self._open[alert.id] = self._due[alert.id] = Recording(
            name,
            f"flowvigil alert {alert.id}, sensor {sensor}",
            self.ring,
            self._directory,
            AlertCapture(self._interfaces),
            self._max_packets,
            self._max_bytes,
        )

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
            recording.add(flow)
            self._due[flow.alert_id] = recording
        return flow


def warm_packet_recorder() -> None:
    """Compile the kernels of ring and writer before there are packets."""
    warm_packet_ring()
    warm_packet_builder()
