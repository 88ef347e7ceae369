"""Messages of the kernel about interfaces, read field by field."""

import socket
import struct

from hypothesis import example, given
from hypothesis import strategies as st

from sensor.sources.live.rtnetlink import Link, LinkRemoved, messages, parse_link

NEWLINK, DELLINK = 16, 17
NAME = struct.pack("=HH", 9, 3) + b"eth0\0" + bytes(3)


def body(attributes: bytes = NAME, *, family: int = 0, index: int = 2) -> bytes:
    return struct.pack("=BxHiII", family, 1, index, 0x10001, 0) + attributes


def message(kind: int, content: bytes, flags: int = 0) -> bytes:
    return struct.pack("=IHHII", 16 + len(content), kind, flags, 0, 0) + content


def test_an_interface_is_told_with_its_name_flags_and_hardware() -> None:
    mtu = struct.pack("=HHI", 8, 4, 1500)
    assert parse_link(NEWLINK, body(mtu + NAME)) == Link(2, "eth0", 0x10001, 1)
    assert Link(2, "eth0", 0x10001, 1).up
    assert not Link(2, "eth0", 0x00001, 1).up
    assert parse_link(DELLINK, body()) == LinkRemoved(2)


def test_a_port_that_leaves_a_bridge_is_not_removed() -> None:
    assert parse_link(DELLINK, body(family=socket.AF_BRIDGE)) is None
    assert parse_link(NEWLINK, body(family=socket.AF_BRIDGE)) is None


def test_messages_lie_one_behind_the_other() -> None:
    told = list(messages(message(NEWLINK, body()) + message(DELLINK, body(), flags=2) + b"cut"))
    assert [(item.kind, item.dump, item.body) for item in told] == [(NEWLINK, False, body()), (DELLINK, True, body())]


@given(st.binary(max_size=120))
@example(message(NEWLINK, body(struct.pack("=HH", 0, 3))))
@example(message(NEWLINK, body(struct.pack("=HH", 4, 3))))
@example(message(NEWLINK, body(struct.pack("=HH", 4000, 3) + b"eth0")))
@example(struct.pack("=IHHII", 0, NEWLINK, 0, 0, 0) * 3)
def test_no_length_leads_astray(datagram: bytes) -> None:
    for item in messages(datagram):
        for kind in (NEWLINK, DELLINK):
            told = parse_link(kind, item.body)
            assert told is None or isinstance(told, Link | LinkRemoved)
