"""Switches of the lab as a process: frames of hosts' TAP devices in, delayed, thinned out, captured and handed on.

`python -m training.lab.fabric PLAN.json` is started with the devices as open descriptors. Cables have a delay, jitter,
loss, a rate and a queue; switches know where each hardware address is. It needs nothing of the kernel but tun, so it
works where netem is missing, and frames are captured as they were on the cable, never merged by an offload. "capture"
on stdin begins the captures; the end of stdin ends the process, which then prints its counts as JSON.
"""

import gc
import heapq
import json
import os
import select
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import IO, Any, Final

from training.lab.traffic import ICMPV6, NEIGHBOURS

SNAPLEN: Final = 65_535
NANOSECOND_PCAP: Final = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, SNAPLEN, 1)  # Ethernet
QUEUE_NS: Final = 200_000_000  # what a cable keeps back at most; more is dropped, as by a full queue
AT_ONCE: Final = 64  # frames read from one device before the others have their turn
LARGEST_FRAME: Final = 2048
PRIORITY: Final = -10  # nice value: frames do not wait for whom they come from
TEN_MS: Final = 10_000_000
IPV4: Final = b"\x08\x00"
IPV6: Final = b"\x86\xdd"
ARP: Final = b"\x08\x06"


@dataclass(slots=True)
class Cable:
    """One direction of a host's cable."""

    delay_ns: int
    jitter_ns: int
    loss: float
    ns_per_byte: float
    free_ns: int = 0  # when the last frame has left
    last_ns: int = 0  # when the last frame arrives; none overtakes another

    def arrival_ns(self, length: int, now_ns: int, rng: Random) -> int | None:
        """When a frame that is sent now arrives; None where it is lost."""
        if self.loss and rng.random() < self.loss:
            return None
        begins_ns = max(now_ns, self.free_ns)
        if begins_ns - now_ns > QUEUE_NS:
            return None
        self.free_ns = begins_ns + int((length + 24) * self.ns_per_byte)  # preamble, checksum and gap of Ethernet
        jitter_ns = int(rng.random() * self.jitter_ns) if self.jitter_ns else 0
        self.last_ns = max(self.last_ns, self.free_ns + self.delay_ns + jitter_ns)
        return self.last_ns


@dataclass(slots=True)
class Lateness:
    """How much later than due frames were handed on, because others had the processor."""

    frames: int = 0
    total_ns: int = 0
    most_ns: int = 0
    over_10_ms: int = 0  # frames

    def add(self, late_ns: int) -> None:
        """Count a frame."""
        self.frames += 1
        self.total_ns += late_ns
        self.most_ns = max(self.most_ns, late_ns)
        self.over_10_ms += late_ns > TEN_MS

    def told(self) -> dict[str, float]:
        """The same for people, in milliseconds."""
        mean_ms = self.total_ns / max(1, self.frames) / 1e6
        return {"mean_ms": round(mean_ms, 3), "most_ms": round(self.most_ns / 1e6, 3), "over_10_ms": self.over_10_ms}


@dataclass(slots=True)
class Port:
    """A device at a switch: a host's, or the router's."""

    fd: int
    name: str
    mac: bytes
    segment: str
    own: frozenset[bytes] | None  # addresses whose frames are captured from the router; None for a host
    hops: int
    up: Cable
    down: Cable
    hidden: bytes | None = None  # address that stands for others, whose frames are captured with their own addresses
    sent: int = 0  # frames that it sent
    lost: int = 0  # frames from or to it that were lost


class Capture:
    """A classic pcap file with nanoseconds, written by blocks."""

    def __init__(self, path: Path) -> None:
        """Create the file. Raises OSError."""
        self.packets = 0
        self._file: IO[bytes] = path.open("wb", buffering=1 << 20)
        self._file.write(NANOSECOND_PCAP)

    def write(self, frame: bytes, now_ns: int) -> None:
        """Append a frame. Raises OSError."""
        seconds, rest = divmod(now_ns, 1_000_000_000)
        self._file.write(struct.pack("<IIII", seconds, rest, len(frame), len(frame)))
        self._file.write(frame)
        self.packets += 1

    def close(self) -> None:
        """Write what is left. Raises OSError."""
        self._file.close()


def with_lower_ttl(frame: bytes, hops: int) -> bytes | None:
    """The frame after so many routers: None where its TTL has run out. RFC 1624 for the checksum.

    What neighbours tell each other in IPv6 crosses none: it would not be believed. RFC 4861, 6.1.
    """
    if hops and frame[12:14] == IPV6 and len(frame) >= 55:
        between = frame[38] == 0xFF or (frame[20] == ICMPV6 and NEIGHBOURS[0] <= frame[54] <= NEIGHBOURS[1])
        limit = frame[21] if between else frame[21] - hops
        return frame[:21] + bytes((limit,)) + frame[22:] if limit > 0 else None
    if not hops or frame[12:14] != IPV4 or len(frame) < 34:
        return frame
    ttl = frame[22]
    if ttl <= hops:
        return None
    checksum = (frame[24] << 8 | frame[25]) + (hops << 8)
    checksum = (checksum & 0xFFFF) + (checksum >> 16)
    return frame[:22] + bytes((ttl - hops, frame[23], checksum >> 8 & 0xFF, checksum & 0xFF)) + frame[26:]


@dataclass(slots=True)
class Fabric:
    """All switches, with the frames that are under way."""

    ports: list[Port]
    rng: Random
    clock_ns: int  # what is to be added to the monotonic clock for the time since 1970
    captures: dict[str, Capture] = field(default_factory=dict)  # by segment; "router" is the one of all segments
    lateness: Lateness = field(default_factory=Lateness)
    _way: list[tuple[int, int, Port, bytes, bool]] = field(default_factory=list)
    _count: int = 0

    def run(self, stdin: int, begin: Callable[[], dict[str, Capture]]) -> None:
        """Hand on frames until stdin ends; begin() gives the captures when it is time for them."""
        by_fd = {port.fd: port for port in self.ports}
        segments = {port.segment for port in self.ports}
        members = {name: [port for port in self.ports if port.segment == name] for name in segments}
        places = {name: {port.mac: port for port in members[name]} for name in segments}
        waiting = [stdin, *by_fd]
        while True:
            now_ns = time.monotonic_ns()
            timeout_s = 1.0 if not self._way else max(0.0, (self._way[0][0] - now_ns) / 1e9)
            ready = select.select(waiting, (), (), timeout_s)[0]
            for fd in ready:
                if fd != stdin:
                    self._read(by_fd[fd])
                    continue
                word = os.read(stdin, 256)
                if not word:
                    return
                self.captures = begin()
            self._deliver(members, places)

    def _read(self, port: Port) -> None:
        for _ in range(AT_ONCE):
            try:
                frame = os.read(port.fd, LARGEST_FRAME)
            except BlockingIOError:
                return
            port.sent += 1
            self._send(port, port.up, frame, False)

    def _send(self, port: Port, cable: Cable, frame: bytes, down: bool) -> None:
        due_ns = cable.arrival_ns(len(frame), time.monotonic_ns(), self.rng)
        if due_ns is None:
            port.lost += 1
            return
        self._count += 1
        heapq.heappush(self._way, (due_ns, self._count, port, frame, down))

    def _deliver(self, members: dict[str, list[Port]], places: dict[str, dict[bytes, Port]]) -> None:
        """Hand on all frames whose time has come."""
        while self._way and self._way[0][0] <= (now_ns := time.monotonic_ns()):
            due_ns, _, port, frame, down = heapq.heappop(self._way)
            self.lateness.add(now_ns - due_ns)
            changed = with_lower_ttl(frame, port.hops)
            if changed is None or len(frame) < 14:
                port.lost += 1
            elif down:
                self._write(port, changed)
            else:
                self._switch(port, changed, members[port.segment], places[port.segment])

    def _switch(self, port: Port, frame: bytes, members: list[Port], places: dict[bytes, Port]) -> None:
        if self.captures:
            self._capture(port, frame)
        if frame[0] & 1:
            targets = [other for other in members if other is not port]
        else:
            target = places.get(frame[:6])
            targets = [target] if target is not None and target is not port else []
        for target in targets:
            if target.own is None:
                self._send(target, target.down, frame, True)
            else:
                self._write(target, frame)

    def _capture(self, port: Port, frame: bytes) -> None:
        """Write a frame as it arrives at the switch: each once for the router, and once for each segment it crosses."""
        now_ns = time.monotonic_ns() + self.clock_ns
        if (port.own is None or _is_own(frame, port.own)) and not _is_translated(frame, port):
            self.captures["router"].write(frame, now_ns)
        segment = self.captures.get(port.segment)
        if segment is not None:
            segment.write(frame, now_ns)

    def _write(self, port: Port, frame: bytes) -> None:
        try:
            os.write(port.fd, frame)
        except OSError:  # a full device, or one whose host is gone
            port.lost += 1


def _is_own(frame: bytes, own: frozenset[bytes]) -> bool:
    """Whether a frame that the router sends is its own; addresses of one link are never handed on. RFC 4291, 2.5.6."""
    if frame[12:14] == IPV6:
        return frame[22] == 0xFE or frame[22:38] in own
    return (frame[28:32] if frame[12:14] == ARP else frame[26:30]) in own


def _is_translated(frame: bytes, port: Port) -> bool:
    """Whether a frame has the address that stands for others, at the end where it does."""
    if port.hidden is None or frame[12:14] != IPV4:
        return False
    return port.hidden == (frame[30:34] if port.own is None else frame[26:30])


def port_of(plan: dict[str, Any]) -> Port:
    """A port as the plan describes it."""
    up, down = (
        Cable(int(plan["delay_ms"] * 1e6), int(plan["jitter_ms"] * 1e6), plan["loss"], 8e3 / plan["rate_mbit"])
        for _ in range(2)
    )
    own = frozenset(map(bytes.fromhex, plan["own"])) if plan["own"] else None
    hidden = bytes.fromhex(plan["hidden"]) if plan["hidden"] else None
    mac = bytes.fromhex(plan["mac"])
    return Port(plan["fd"], plan["name"], mac, plan["segment"], own, plan["hops"], up, down, hidden)


def main(plan_path: str) -> None:
    """Run the switches of a plan until stdin ends, and print their counts."""
    with suppress(OSError):  # where it may not, a busy machine is a slow cable; the counts say how slow
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
        Path("/proc/self/autogroup").write_text(str(PRIORITY), encoding="ascii")  # sched(7): beside other sessions
    gc.disable()  # nothing here is a circle
    plan = json.loads(Path(plan_path).read_text(encoding="utf-8"))
    ports = [port_of(port) for port in plan["ports"]]
    for port in ports:
        os.set_blocking(port.fd, False)
    fabric = Fabric(ports, Random(plan["seed"]), time.time_ns() - time.monotonic_ns())

    def begin() -> dict[str, Capture]:
        return {name: Capture(Path(path)) for name, path in plan["captures"].items()}

    fabric.run(sys.stdin.fileno(), begin)
    for capture in fabric.captures.values():
        capture.close()
    counts = {
        "packets": {name: capture.packets for name, capture in fabric.captures.items()},
        "lateness": fabric.lateness.told(),
        "ports": {f"{port.segment}/{port.name}": {"sent": port.sent, "lost": port.lost} for port in ports},
    }
    sys.stdout.write(json.dumps(counts) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
