"""Which packets of a capture are read for names, through the whole meter."""

import struct
from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from flows.block import PacketBlock
from flows.meter import Meter
from flows.names.hello import client_hello
from flows.names.layout import HELLO_OF_FLOW, S_A_HIGH, S_A_LOW, S_FROM, S_KIND, S_LENGTH
from flows.names.marking import LAST_DATA
from flows.names.reading import MARKS
from sensor.synth.protocols import dns, tls
from sensor.synth.randomness import Random
from tests.support.packets import EPOCH_NS, Packet, block, ip, tcp, udp

CLIENT, SERVER, RESOLVER = "10.0.0.1", "198.51.100.7", "10.0.0.9"
HELLO = tls.client_hello(Random(1), "www.example.org")
NAMED = (b"www.example.org",)


def segment(
    source: str,
    target: str,
    content: bytes,
    flags: int = 24,
    at: float = 0.0,
    vlan: Sequence[int] = (),
    sequence: int = 1,
) -> Packet:
    (source, sport), (target, dport) = source.rsplit(":", 1), target.rsplit(":", 1)
    header = struct.pack("!HHIIBBHHH", int(sport), int(dport), sequence, 1, 0x50, flags, 64240, 0, 0)
    return ip(source, target, 6, header + content, at=at, vlan=vlan)


def datagram(source: str, target: str, content: bytes, at: float = 0.0, vlan: Sequence[int] = ()) -> Packet:
    (source, sport), (target, dport) = source.rsplit(":", 1), target.rsplit(":", 1)
    return ip(
        source,
        target,
        17,
        struct.pack("!HHHH", int(sport), int(dport), 8 + len(content), 0) + content,
        at=at,
        vlan=vlan,
    )


def answer(address: str = SERVER, name: str = "www.example.org") -> bytes:
    packed = ip_address(address).packed
    return dns.response(1, name, dns.A if len(packed) == 4 else dns.AAAA, [packed])


def told(packets: Sequence[Packet], **settings: object) -> tuple[bytes, ...]:
    return told_in(block(packets), **settings)


def told_in(packets: PacketBlock, **settings: object) -> tuple[bytes, ...]:
    meter = Meter(64, names=True, **settings)  # type: ignore[arg-type]
    meter.feed(packets)
    seen = meter.sightings()
    texts = [seen.text[words[S_FROM] : words[S_FROM] + words[S_LENGTH]].tobytes() for words in seen.words.tolist()]
    kinds = seen.words[:, S_KIND].tolist()
    return tuple(
        str(client_hello(text).server_name).encode() if kind == HELLO_OF_FLOW else text
        for kind, text in zip(kinds, texts, strict=True)
    )


@pytest.mark.parametrize("vlan", [(), (7,), (7, 8)])
@pytest.mark.parametrize(("here", "there"), [(CLIENT, SERVER), ("[2001:db8::1]", "[2001:db8::2]")])
def test_answers_and_hellos_are_read_behind_tags_and_in_both_versions(
    here: str, there: str, vlan: Sequence[int]
) -> None:
    asked = [
        datagram(f"{here}:5000", f"{there}:53", dns.query(1, "www.example.org", dns.A), vlan=vlan),
        datagram(f"{there}:53", f"{here}:5000", answer(), at=0.1, vlan=vlan),
    ]
    opened = [
        tcp(f"{here}:6000", f"{there}:443", "S", vlan=vlan),
        tcp(f"{there}:443", f"{here}:6000", "SA", vlan=vlan),
        segment(f"{here}:6000", f"{there}:443", HELLO, vlan=vlan),
    ]
    assert told(asked) == told(opened) == NAMED


def test_an_answer_that_nobody_asked_for_says_nothing() -> None:
    unasked = datagram(f"{RESOLVER}:53", f"{CLIENT}:5000", answer())
    assert told([unasked]) == ()
    asked = udp(f"{CLIENT}:5000", f"{RESOLVER}:53", payload=30)
    assert told([asked, unasked]) == NAMED
    assert told([asked, unasked, unasked]) == NAMED  # once for each question: what follows is anybody's
    assert told([asked, asked, unasked, unasked]) == 2 * NAMED
    elsewhere = datagram(f"{RESOLVER}:54", f"{CLIENT}:5000", answer())
    assert told([udp(f"{CLIENT}:5000", f"{RESOLVER}:54", payload=30), elsewhere]) == ()


@pytest.mark.parametrize(("before", "names"), [(0, NAMED), (3, NAMED), (4, ())])
def test_a_hello_is_looked_for_in_the_first_data_packets_alone(before: int, names: tuple[bytes, ...]) -> None:
    """Behind a few words in the clear, such as STARTTLS or CONNECT."""
    packets = [segment(f"{CLIENT}:6000", f"{SERVER}:25", b"x" * 50) for _ in range(before)]
    others = [segment(f"{SERVER}:25", f"{CLIENT}:6000", b"250 x" * 10) for _ in range(9)]
    assert told([*others, *packets, segment(f"{CLIENT}:6000", f"{SERVER}:25", HELLO)]) == names


ENDS = (f"{CLIENT}:6000", f"{SERVER}:443")


def parts(*cuts: int) -> list[Packet]:
    """A hello in segments."""
    return [segment(*ENDS, HELLO[a:b], sequence=1 + a) for a, b in zip((0, *cuts), (*cuts, len(HELLO)), strict=True)]


@pytest.mark.parametrize("cuts", [(100,), (6, 7, 8), (60, 120, 180, 240, 250, 260, 270)])
def test_a_hello_is_read_over_a_few_segments(cuts: tuple[int, ...]) -> None:
    said = segment(*reversed(ENDS), b"250 ok", sequence=1)
    assert told([each for part in parts(*cuts) for each in (part, said)])[-1:] == NAMED
    assert told(parts(*cuts)[:1]) == ()


def test_a_hello_that_begins_in_a_syn_goes_on_a_byte_later() -> None:
    opened = segment(*ENDS, HELLO[:100], flags=2, sequence=1)
    assert told([opened, segment(*ENDS, HELLO[100:], sequence=102)]) == NAMED


def test_a_hello_over_more_segments_than_are_looked_at_is_not_read() -> None:
    assert told(parts(*range(100, 100 + LAST_DATA))) == ()


def test_what_follows_is_another_flows_or_directions_own() -> None:
    begun, goes_on = parts(100)
    elsewhere = segment(f"{CLIENT}:6001", f"{SERVER}:443", HELLO[100:], sequence=101)
    back = segment(*reversed(ENDS), HELLO[100:], sequence=101)
    assert told([begun, elsewhere, back]) == ()
    assert told([begun, elsewhere, back, goes_on]) == NAMED


def test_a_server_does_not_say_what_its_client_asked_for() -> None:
    other = tls.client_hello(Random(2), "other.example")
    said, answered = segment(*ENDS, HELLO), segment(*reversed(ENDS), other, at=0.1)
    later = [segment(*ENDS, b"x" * 50, at=at) for at in (60, 121)]
    assert told([said, answered]) == NAMED
    assert told([said, *later, segment(*reversed(ENDS), other, at=121.1)]) == NAMED
    begun = [segment(*reversed(ENDS), other[a:b], at=0.1, sequence=1 + a) for a, b in ((0, 150), (150, len(other)))]
    opened = tcp(*ENDS, "S")
    assert told([opened, begun[0], said, begun[1]])[-1:] == NAMED


def test_who_was_connected_to_may_be_the_client() -> None:
    """As of the data connections of FTP over TLS, which the server opens."""
    opened = tcp(f"{SERVER}:20", f"{CLIENT}:6000", "S")
    assert told([opened, segment(f"{CLIENT}:6000", f"{SERVER}:20", HELLO)]) == NAMED


def test_a_hello_that_was_not_captured_whole_does_not_go_on() -> None:
    begun, goes_on = parts(100)
    assert told([Packet(begun.frame[:100], EPOCH_NS), goes_on]) == ()


def test_what_stands_in_padding_or_was_not_captured_is_not_read() -> None:
    whole = segment(f"{CLIENT}:6000", f"{SERVER}:443", HELLO).frame
    for caplen in range(len(whole) + 1):
        named = told([Packet(whole[:caplen], EPOCH_NS)])
        assert named == (NAMED if caplen >= whole.index(b"www.example.org") + 15 else ())
    padded = bytearray(segment(f"{CLIENT}:6000", f"{SERVER}:443", HELLO[:60]).frame + HELLO[60:])
    assert told([Packet(bytes(padded), EPOCH_NS)]) == ()


def test_an_answer_in_fragments_is_read_as_far_as_its_first_one_goes() -> None:
    content = answer()
    header = struct.pack("!HHHH", 53, 5000, 8 + len(content) + 8, 0)
    first = bytearray(ip(RESOLVER, CLIENT, 17, header + content).frame)
    first[20:22] = b"\x20\0"  # more to come
    later = bytearray(ip(RESOLVER, CLIENT, 17, answer(name="later.example")).frame)
    later[20:22] = (len(header + content) // 8).to_bytes(2)
    asked = udp(f"{CLIENT}:5000", f"{RESOLVER}:53", payload=30)
    assert told([asked, Packet(bytes(first), EPOCH_NS), Packet(bytes(later), EPOCH_NS)]) == NAMED


def test_what_a_tunnel_carries_is_read_where_flows_are_those_inside() -> None:
    inner = ip(CLIENT, SERVER, 6, struct.pack("!HHIIBBHHH", 6000, 443, 1, 1, 0x50, 24, 64240, 0, 0) + HELLO).frame[14:]
    tunnelled = ip("192.0.2.1", "192.0.2.2", 4, inner)
    assert (told([tunnelled]), told([tunnelled], decap=True)) == ((), NAMED)


def test_all_is_read_however_many_packets_there_are_in_a_block() -> None:
    """More than are marked before they are read, in an order that stays."""
    names = [f"host-{number}.example" for number in range(3 * MARKS)]
    packets = [
        each
        for port, name in enumerate(names, 2000)
        for each in (
            udp(f"{CLIENT}:{port}", f"{RESOLVER}:53", payload=30),
            datagram(f"{RESOLVER}:53", f"{CLIENT}:{port}", answer(name=name)),
        )
    ]
    assert told(packets) == tuple(name.encode() for name in names)


def test_nothing_is_read_unless_it_is_wanted() -> None:
    meter = Meter(64)
    meter.feed(block([segment(f"{CLIENT}:6000", f"{SERVER}:443", HELLO)]))
    assert len(meter.sightings()) == 0


def test_an_address_is_told_as_two_words() -> None:
    meter = Meter(64, names=True)
    asked = udp(f"{CLIENT}:5000", f"{RESOLVER}:53", payload=30)
    meter.feed(block([asked, datagram(f"{RESOLVER}:53", f"{CLIENT}:5000", answer("2001:db8::7"))]))
    (words,) = meter.sightings().words.tolist()
    assert (words[S_A_HIGH], words[S_A_LOW]) == (0x20010DB8 << 32, 7)
