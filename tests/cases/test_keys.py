"""What is one flow: port reuse, late SYNs, and VLAN tags on one side only.

RFC 9293, 3.5: a SYN with another number opens another connection; one with the connection's own is a copy.
"""

import struct
import time
from ipaddress import ip_address
from pathlib import Path

import numpy as np

from flows.batch import END_DETECTED, END_REASON, IDENTITY_WIDTH, SRC_LOW, VLAN, FlowBatch
from flows.columns import NAMES
from flows.meter import Meter, concatenate
from sensor.metering.captures import CaptureTurns
from sensor.metering.vlans import MAX_REMEMBERED, SplitSessions
from sensor.progress.hints import hints
from sensor.progress.progress import Progress
from sensor.sources.captures.stream import CaptureStream
from tests.cases.test_together import counts, session, stored
from tests.support.packets import FLAG_BITS, Packet, ip, metered

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"


def segment(out: bool, flags: str, sequence: int, acknowledged: int, at: float) -> Packet:
    """A segment of port 40000 to port 443, or back."""
    ends, ports = ((CLIENT, SERVER), (40000, 443)) if out else ((SERVER, CLIENT), (443, 40000))
    bits = sum(FLAG_BITS[flag] for flag in flags)
    numbers = sequence % 2**32, acknowledged % 2**32
    return ip(*ends, 6, struct.pack("!HHIIBBHHH", *ports, *numbers, 0x50, bits, 64240, 0, 0), at=at)


def connection(at: float, isn: int, answer: int = 77_000, *, closed: bool = True) -> list[Packet]:
    """Ten packets, six out and four back, or the first seven of them."""
    talk = [
        (True, "S", isn, 0), (False, "SA", answer, isn + 1), (True, "A", isn + 1, answer + 1),
        (True, "PA", isn + 1, answer + 1), (False, "A", answer + 1, isn + 1), (False, "PA", answer + 1, isn + 1),
        (True, "A", isn + 1, answer + 1), (True, "FA", isn + 1, answer + 1), (False, "FA", answer + 1, isn + 2),
        (True, "A", isn + 2, answer + 2),
    ]  # fmt: skip
    return [segment(*each, at=at + 0.005 * i) for i, each in enumerate(talk[: 10 if closed else 7])]


def test_a_client_that_restarts_on_the_ports_of_a_connection_without_an_end() -> None:
    """A SYN with another number on an unclosed connection begins another flow, however soon."""
    for pause_s in (0.5, 40.0):
        flows = metered(connection(0, isn=1000, closed=False) + connection(pause_s, isn=2**32 - 1))
        assert counts(flows) == {(4, 3): 1, (6, 4): 1}
        assert flows.identity[0, END_REASON] == END_DETECTED or pause_s > 10


def test_a_syn_that_is_sent_again_is_of_the_same_flow() -> None:
    first, *rest = connection(1.0, isn=2**32 - 1)
    flows = metered([segment(True, "S", 2**32 - 1, 0, at=0.0), first, *rest])
    assert counts(flows) == {(7, 4): 1}


def test_a_syn_that_is_recorded_last_is_of_its_own_connection() -> None:
    """Its number is the one that the others continue; it opens nothing, though both sides have closed."""
    first, *rest = connection(0, isn=5)
    assert counts(metered([*rest, Packet(first.frame, rest[-1].ts_ns + 135_000_000)])) == {(6, 4): 1}


def test_after_both_sides_have_closed_the_same_ports_are_another_flow() -> None:
    assert counts(metered(connection(0, isn=5) + connection(1.0, isn=90_000))) == {(6, 4): 2}


def test_a_refused_attempt_that_is_made_again_is_a_flow_of_its_own() -> None:
    """A client sends the same SYN again after a reset: each was refused."""
    packets = [each for at in (0.0, 0.5, 1.0) for each in (
        segment(True, "S", 9, 0, at), segment(False, "RA", 0, 10, at + 0.001))]  # fmt: skip
    assert counts(metered(packets)) == {(1, 1): 3}


def test_both_sides_may_open_at_once() -> None:
    """RFC 9293, 3.5, figure 8."""
    flows = metered([
        segment(True, "S", 100, 0, 0.0), segment(False, "S", 300, 0, 0.001), segment(True, "SA", 100, 301, 0.002),
        segment(False, "SA", 300, 101, 0.003), segment(True, "A", 101, 301, 0.004),
    ])  # fmt: skip
    assert counts(flows) == {(3, 2): 1}


def test_an_active_timeout_does_not_forget_the_number() -> None:
    second_ns = 10**9
    packets = [segment(True, "S", 5, 0, 0.0), *(segment(True, "A", 6 + i, 1, 10.0 * i) for i in range(1, 4))]
    again = segment(True, "S", 5, 0, 31.0)
    anew = segment(True, "S", 6, 0, 31.0)
    settings = {"active_timeout_ns": 15 * second_ns}
    assert sum(counts(metered([*packets, again], **settings)).values()) == 2
    assert sum(counts(metered([*packets, anew], **settings)).values()) == 3


def tagged(packet: Packet, vlan: int) -> Packet:
    return Packet(packet.frame[:12] + struct.pack("!HH", 0x8100, vlan) + packet.frame[12:], packet.ts_ns)


def read(path: Path, packets: list[Packet], *, vlan_in_key: bool) -> tuple[FlowBatch, list[str]]:
    """Records, and what is told of tags."""
    source = CaptureTurns(CaptureStream([stored(path, packets)]), Meter(64, vlan_in_key=vlan_in_key))
    records = concatenate([turn.records for turn in source])
    split = SplitSessions()
    split.add(records)
    return records, [hint.message for hint in hints(Progress(split_sessions=split.count))]


def by_side(packets: list[Packet], out: int, back: int) -> list[Packet]:
    """The same with a tag each way, 0 for none."""
    client = ip_address(CLIENT).packed
    tags = [out if packet.frame[26:30] == client else back for packet in packets]
    return [tagged(packet, tag) if tag else packet for packet, tag in zip(packets, tags, strict=True)]


def test_a_session_tagged_one_way_or_with_two_tags_is_told_and_can_be_one_flow(tmp_path: Path) -> None:
    """Mirrors that tag one side are common, and so are trunks with a router between two of their VLANs."""
    for out, back in ((100, 0), (0, 100), (100, 200)):
        packets = by_side(session(f"{CLIENT}:40000", at=0), out, back)
        flows, told = read(tmp_path / "a", packets, vlan_in_key=True)
        assert counts(flows) == {(6, 0): 1, (4, 0): 1} or counts(flows) == {(6, 0): 1, (0, 4): 1}
        assert told == [
            "1 session seen with other VLAN tags, or none, on the way back, and metered as two flows each: "
            "meter.vlan_in_key: false makes them one"
        ]
        flows, told = read(tmp_path / "b", packets, vlan_in_key=False)
        assert counts(flows) == {(6, 4): 1}
        assert told == []


def test_two_vlans_with_the_same_addresses_are_two_flows(tmp_path: Path) -> None:
    whole = session(f"{CLIENT}:40000", at=0)
    packets = sorted(by_side(whole, 100, 100) + by_side(whole, 200, 200), key=lambda packet: packet.ts_ns)
    flows, told = read(tmp_path / "a", packets, vlan_in_key=True)
    assert counts(flows) == {(6, 4): 2}
    assert told == []


def test_a_flow_beyond_those_that_are_remembered_costs_no_more_than_one_before() -> None:
    """A flood of a tagged link is all flows without an answer."""
    split, taken = SplitSessions(), list[float]()
    for part in range(3):
        identity = np.zeros((MAX_REMEMBERED, IDENTITY_WIDTH), dtype=np.int64)
        identity[:, VLAN], identity[:, SRC_LOW] = 5, np.arange(MAX_REMEMBERED) + part * MAX_REMEMBERED
        values = np.zeros((MAX_REMEMBERED, len(NAMES)))
        values[:, NAMES.index("fwd_packets")] = 1
        began = time.process_time()
        split.add(FlowBatch(identity, values))
        taken.append(time.process_time() - began)
    assert taken[2] < 8 * taken[0] + 0.1, taken
