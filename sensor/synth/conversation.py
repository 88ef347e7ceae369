"""A TCP conversation as the sensor sees it: handshake, segments, acknowledgements, close.

Two endpoints send in turn, as most applications do. Each write is cut at the segment size and paced by a congestion
window that acknowledgements open; the receiver acknowledges every second segment at once, and a lone one after its
delay or with its own data. No packet is lost on these paths. It knows no application and no other hosts.
RFC 9293 (TCP), 5681 (slow start, delayed ACK), 6928 (initial window of ten), 7323 (scale, timestamps).
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import NamedTuple

from sensor.synth.packets import IPV4, IPV6, TCP, Flag, ethernet, internet, tcp
from sensor.synth.randomness import SECOND
from sensor.synth.site import Host, NetworkPath
from sensor.synth.stacks import MS, options, segment_size
from sensor.synth.truth import Exchange, Packet, Purpose, flow

_INITIAL_CWND = 10  # segments
_CWND_LIMIT = 256  # segments
_REACTION_NS = 20_000  # a kernel answers a segment within tens of microseconds
_NS_PER_BYTE = 8  # the sensor sits on gigabit Ethernet: packets of one direction follow each other no faster
_ETHERNET_OVERHEAD = 24  # bytes: preamble, frame check sequence and gap, which a capture does not hold


class Close(Enum):
    """How a connection is closed: by which side first, with FIN or RST."""

    INITIATOR_FIN = "initiator fin"
    TARGET_FIN = "target fin"
    INITIATOR_RST = "initiator rst"
    TARGET_RST = "target rst"


class Acknowledgement(NamedTuple):
    """An acknowledgement on its way to the sender."""

    arrival_ns: int
    segments: int  # that it acknowledges
    ts_value: int  # timestamp option
    window: int  # bytes


@dataclass(slots=True)
class TcpEndpoint:
    """TCP state of one side."""

    host: Host
    ip: bytes
    port: int
    next_seq: int
    ident: int  # IPv4 identification or IPv6 flow label
    ts_offset: int  # of its timestamp option
    window: int  # bytes
    received: int = 0  # next sequence number expected
    ts_recent: int = 0
    clock_ns: int = 0  # when the application last wrote or had received all
    sent_ns: int = 0  # its last segment
    unacknowledged: int = 0  # segments received and not yet acknowledged
    ack_due_ns: int = 0
    cwnd: int = _INITIAL_CWND
    in_flight: int = 0  # segments
    peer_window: int = 65535
    acks: deque[Acknowledgement] = field(default_factory=deque)  # on their way to it
    seen_ns: int = 0  # its last packet at the sensor
    arrived_ns: int = 0  # its last packet at the peer


class Conversation:
    """One TCP connection; call `open`, then `initiator_sends` and `target_sends`, then `close`.

    Times are packets' times, ns since 1970 UTC. Sequence numbers, timestamps and jitter come from rng only.
    joined: segments that make one packet at the sensor, as where it stands on a host whose network card joins and cuts
    them (segmentation offload); 22 at most, for two such packets must fit into the first window.
    """

    def __init__(
        self,
        initiator: tuple[Host, int],
        target: tuple[Host, int],
        path: NetworkPath,
        rng: Random,
        ipv6: bool = False,
        joined: int = 1,
    ) -> None:
        self._rng = rng
        self._path = path
        self._ipv6 = ipv6
        offered, answered = initiator[0].stack, target[0].stack
        self._timestamps = offered.timestamps and answered.timestamps
        self._segment = segment_size(ipv6)
        self._mss = joined * (self._segment - 12 * self._timestamps)
        # Without timestamps the first window is a multiple of the larger segment again, as in a SYN.
        answer = answered.synack_window if self._timestamps else answered.syn_window
        self._initiator = self._endpoint(*initiator, offered.syn_window[ipv6])
        self._target = self._endpoint(*target, answer[ipv6])
        self._packets: list[Packet] = []

    @property
    def now_ns(self) -> int:
        """Time at which both sides have sent and received everything so far."""
        return max(self._initiator.clock_ns, self._target.clock_ns)

    def open(self, start_ns: int) -> None:
        """Three-way handshake; start_ns is when the initiator sends its SYN."""
        initiator, target = self._initiator, self._target
        self._emit(initiator, start_ns, Flag.SYN, initiator.host.stack.offer)
        stack = target.host.stack
        layout = stack.offer if self._timestamps else stack.plain_answer
        self._emit(target, target.clock_ns + _REACTION_NS, Flag.SYN | Flag.ACK, layout)
        for side in (initiator, target):
            side.window = side.host.stack.open_window
        target.clock_ns = self._pure_ack(initiator, initiator.clock_ns + _REACTION_NS)

    def refuse(self, start_ns: int) -> None:
        """A SYN to a closed port and its RST; start_ns is when the initiator sends."""
        self._emit(self._initiator, start_ns, Flag.SYN, self._initiator.host.stack.offer)
        self._target.next_seq = 0  # RFC 9293 section 3.10.7.1: a closed port has no numbers of its own
        self._emit(self._target, self._target.clock_ns + _REACTION_NS, Flag.RST | Flag.ACK, ())

    def unanswered(self, start_ns: int, repeats_s: Iterable[float] = (1, 3, 7)) -> None:
        """A SYN that nobody answers, at start_ns and again so many seconds later. RFC 6298: after twice the time."""
        first, offer = self._initiator.next_seq, self._initiator.host.stack.offer
        for after_s in (0.0, *repeats_s):
            self._initiator.next_seq = first
            self._emit(self._initiator, start_ns + int(after_s * SECOND), Flag.SYN, offer)

    def check(self, start_ns: int) -> None:
        """A SYN, its SYN-ACK, and a RST in place of the third step: the port is open, and nothing more is wanted."""
        initiator, target = self._initiator, self._target
        self._emit(initiator, start_ns, Flag.SYN, initiator.host.stack.offer)
        layout = target.host.stack.offer if self._timestamps else target.host.stack.plain_answer
        self._emit(target, target.clock_ns + _REACTION_NS, Flag.SYN | Flag.ACK, layout)
        self._emit(initiator, initiator.clock_ns + _REACTION_NS, Flag.RST | Flag.ACK, ())

    def initiator_sends(self, payload: bytes, after_ns: int = 0) -> None:
        """The initiator writes payload after_ns after it last sent or received."""
        self._send(self._initiator, self._target, payload, after_ns)

    def target_sends(self, payload: bytes, after_ns: int = 0) -> None:
        """The target writes payload after_ns after it last sent or received."""
        self._send(self._target, self._initiator, payload, after_ns)

    def close(self, how: Close, after_ns: int = 0) -> None:
        """End the connection after_ns after the closing side last wrote or received."""
        first, second = self._initiator, self._target
        if how in (Close.TARGET_FIN, Close.TARGET_RST):
            first, second = second, first
        at_ns = first.clock_ns + after_ns
        self._flush(first, at_ns)
        self._flush(second, at_ns + self._delay_ns)
        if how in (Close.INITIATOR_RST, Close.TARGET_RST):
            self._emit(first, at_ns, Flag.RST | Flag.ACK, ())
            second.unacknowledged = 0  # nothing is acknowledged on a connection that is gone
            return
        self._emit(first, at_ns, Flag.FIN | Flag.ACK)
        if self._rng.random() < 0.5:  # else the application was about to close as well, and its FIN carries the ACK
            self._pure_ack(second, second.clock_ns + _REACTION_NS)
        self._emit(second, second.clock_ns + int(self._rng.expovariate(1 / MS)) + 2 * _REACTION_NS, Flag.FIN | Flag.ACK)
        self._pure_ack(first, first.clock_ns + _REACTION_NS)

    def exchange(self, purpose: Purpose) -> Exchange:
        """All packets so far with their ground truth; pending delayed acknowledgements are sent first."""
        for side in (self._initiator, self._target):
            self._flush(side, side.ack_due_ns)
        ends = [(side.ip, side.port) for side in (self._initiator, self._target)]
        return flow(self._packets, purpose, TCP, ends[0], ends[1])

    def _endpoint(self, host: Host, port: int, window: int) -> TcpEndpoint:
        rng = self._rng
        return TcpEndpoint(
            host, host.ip(self._ipv6), port, rng.getrandbits(32), rng.getrandbits(16), rng.getrandbits(31), window
        )

    @property
    def _delay_ns(self) -> int:
        return self._path.near_ns + self._path.far_ns

    def _send(self, sender: TcpEndpoint, receiver: TcpEndpoint, payload: bytes, after_ns: int) -> None:
        start_ns = sender.clock_ns + after_ns
        self._flush(sender, start_ns)
        for offset in range(0, len(payload), self._mss):
            part = payload[offset : offset + self._mss]
            self._wait_for_window(sender, receiver)
            at_ns = max(start_ns, sender.clock_ns, sender.sent_ns + self._serialisation_ns(len(part)))
            self._process_acks(sender, at_ns)
            self._flush(receiver, at_ns + self._delay_ns)  # its timer may run out before this segment arrives
            push = Flag.PSH if offset + self._mss >= len(payload) else 0
            sender.in_flight += 1
            self._receive(receiver, self._emit(sender, at_ns, Flag.ACK | push, payload=part))

    def _wait_for_window(self, sender: TcpEndpoint, receiver: TcpEndpoint) -> None:
        while sender.in_flight >= min(sender.cwnd, max(2, sender.peer_window // self._mss - 1)):
            if not sender.acks:  # a lone segment is in flight, and the receiver waits for a second one
                self._flush(receiver, receiver.ack_due_ns)
            sender.clock_ns = max(sender.clock_ns, sender.acks[0].arrival_ns)
            self._process_acks(sender, sender.clock_ns)

    def _process_acks(self, side: TcpEndpoint, now_ns: int) -> None:
        """Process the acknowledgements that have reached a side by now_ns."""
        while side.acks and side.acks[0].arrival_ns <= now_ns:
            ack = side.acks.popleft()
            side.in_flight -= ack.segments
            side.cwnd = min(side.cwnd + ack.segments, _CWND_LIMIT)
            side.ts_recent, side.peer_window = ack.ts_value, ack.window

    def _receive(self, receiver: TcpEndpoint, arrival_ns: int) -> None:
        receiver.unacknowledged += 1
        receiver.ack_due_ns = arrival_ns + receiver.host.stack.delayed_ack_ns
        if receiver.unacknowledged == 2:
            self._pure_ack(receiver, arrival_ns + _REACTION_NS)

    def _flush(self, side: TcpEndpoint, now_ns: int) -> None:
        """Send a side's delayed acknowledgement if its timer has expired by now_ns."""
        if side.unacknowledged and side.ack_due_ns <= now_ns:
            self._pure_ack(side, side.ack_due_ns)

    def _pure_ack(self, side: TcpEndpoint, at_ns: int) -> int:
        clock_ns = side.clock_ns
        arrival_ns = self._emit(side, at_ns, Flag.ACK)
        side.clock_ns = clock_ns  # the kernel acknowledges; the application did nothing
        return arrival_ns

    def _emit(
        self, side: TcpEndpoint, at_ns: int, flags: int, layout: tuple[str, ...] | None = None, payload: bytes = b""
    ) -> int:
        """Send one segment at at_ns; returns its arrival at the other side in ns. layout None: the usual options."""
        other = self._target if side is self._initiator else self._initiator
        if layout is None:
            layout = ("nop", "nop", "timestamps") if self._timestamps else ()
        ts_value = side.ts_offset + at_ns // MS
        segment = tcp(
            (side.ip, other.ip),
            (side.port, other.port),
            side.next_seq,
            side.received if flags & Flag.ACK else 0,
            flags,
            window=_window_field(side, flags),
            options=options(layout, self._segment, side.host.stack.window_scale, ts_value, side.ts_recent),
            payload=payload,
        )
        arrival_ns = self._carry(side, other, at_ns, segment)
        acknowledged, side.unacknowledged = side.unacknowledged, 0
        side.clock_ns, side.sent_ns = max(side.clock_ns, at_ns), at_ns
        occupies = len(payload) + bool(flags & (Flag.SYN | Flag.FIN))
        side.next_seq += occupies
        other.acks.append(Acknowledgement(arrival_ns, acknowledged, ts_value, side.window))
        if occupies:  # the sides send in turn: the other one sends nothing before this arrives
            self._process_acks(other, arrival_ns)
            other.received, other.clock_ns = side.next_seq, max(other.clock_ns, arrival_ns)
            other.window = max(other.window, min(other.window + 2 * len(payload), other.host.stack.window_limit))
        return arrival_ns

    def _carry(self, side: TcpEndpoint, other: TcpEndpoint, at_ns: int, segment: bytes) -> int:
        """Move a segment past the sensor to the other side, in order; returns its arrival in ns."""
        path = self._path
        legs = (path.near_ns, path.far_ns) if side is self._initiator else (path.far_ns, path.near_ns)
        jitter = [int(self._rng.expovariate(1 / path.jitter_ns)) for _ in legs]
        side.ident += not self._ipv6  # an IPv6 flow label stays, an IPv4 identification counts
        packet = internet(side.ip, other.ip, TCP, segment, ttl=side.host.ttl, ident=side.ident)
        frame = ethernet(side.host.mac, other.host.mac, IPV6 if self._ipv6 else IPV4, packet)
        spacing_ns = _NS_PER_BYTE * (len(frame) + _ETHERNET_OVERHEAD)
        side.seen_ns = max(at_ns + legs[0] + jitter[0], side.seen_ns + spacing_ns)
        side.arrived_ns = max(side.seen_ns + legs[1] + jitter[1], side.arrived_ns + spacing_ns)
        self._packets.append(Packet(side.seen_ns, frame))
        return side.arrived_ns

    def _serialisation_ns(self, payload: int) -> int:
        return (payload + 66) * 8 * 1_000_000_000 // self._path.bits_per_second


def _window_field(side: TcpEndpoint, flags: int) -> int:
    if flags & Flag.RST:
        return 0
    if flags & Flag.SYN:  # RFC 7323: never scaled
        return side.window
    return min(side.window >> side.host.stack.window_scale, 65535)
