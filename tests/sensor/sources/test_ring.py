"""What the ring refuses before it needs any permission, and how a filter takes the place of another."""

import errno
import os
import struct
from typing import Any

import pytest

from flows.linktypes import ETHERNET
from sensor.errors import CaptureError
from sensor.sources.filters.bpf import BpfProgram
from sensor.sources.live.packet_socket import (
    ACCEPT_NOTHING,
    ARPHRD_ETHER,
    ARPHRD_LOOPBACK,
    ARPHRD_NONE,
    attach_filter,
)
from sensor.sources.live.ring import RingCapture, readable_hardware


@pytest.mark.parametrize("name", ["no-such-if0", "a-name-longer-than-any-interface", ""])
def test_an_unknown_interface_is_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(CaptureError, match=rf"^{name}: no such interface, expected one of .*\blo\b"):
        RingCapture([name], 1 << 20, 32)


def test_with_a_filter_hardware_is_followed_that_it_was_compiled_for() -> None:
    """Else a watch would end where tun takes the place of tap."""
    assert readable_hardware(None) == {ARPHRD_ETHER, ARPHRD_LOOPBACK, ARPHRD_NONE}
    assert readable_hardware({ETHERNET: BpfProgram("", ETHERNET, ((0x06, 0, 0, 1),))}) == {
        ARPHRD_ETHER,
        ARPHRD_LOOPBACK,
    }


class Kernel:
    """The options of a socket, with room for so many instructions of filters: the old one's and the new one's."""

    def __init__(self, room: int) -> None:
        self.room, self.attached = room, [0]

    def setsockopt(self, _level: int, _name: int, value: bytes) -> None:
        (length,) = struct.unpack_from("H", value)
        if self.attached[-1] + length > self.room:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        self.attached.append(length)


def test_a_filter_takes_the_place_of_another_where_there_is_no_room_for_both() -> None:
    """As when an interface comes back: net.core.optmem_max is 20 KB before Linux 6.7."""
    kernel: Any = Kernel(1000)
    long = list(ACCEPT_NOTHING) * 700
    attach_filter(kernel, long)
    attach_filter(kernel, long)
    assert kernel.attached == [0, 700, 1, 700]
    with pytest.raises(OSError, match="no memory for a filter of 1,400 instructions"):
        attach_filter(kernel, long * 2)
