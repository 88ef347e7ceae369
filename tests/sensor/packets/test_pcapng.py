"""Packets written as pcapng: what is read back is what was given."""

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.block import Int64s, PacketBlock, block_of
from sensor.errors import OutputError
from sensor.packets.pcapng import PcapngWriter, create_capture, encoded_sizes, interface_description
from tests.support.capture_bytes import Packet, packet, packets_of, read

pytestmark = pytest.mark.ux


class Memory:
    """A raw file that takes a limited number of bytes in each write."""

    def __init__(self, at_once: int = 1 << 30) -> None:
        self.content = b""
        self.writes = 0
        self._at_once = at_once

    def write(self, content: memoryview, /) -> int:
        self.content += content[: self._at_once]
        self.writes += 1
        return min(len(content), self._at_once)

    def truncate(self, size: int, /) -> None:
        self.content = self.content[:size]

    def close(self) -> None:
        pass


class FullMemory(Memory):
    """Takes this many bytes in all."""

    def __init__(self, room: int) -> None:
        super().__init__(at_once=100)
        self._room = room

    def write(self, content: memoryview, /) -> int:
        taken = super().write(content[: self._room - len(self.content)])
        if not taken:
            raise OSError(errno.ENOSPC, "full")
        return taken


def of(interface: int, block: PacketBlock) -> Int64s:
    """Number of each packet's interface when all are of one."""
    return np.full(len(block), interface, dtype=np.int64)


def block_from(packets: list[Packet], linktype: int = 1) -> PacketBlock:
    """Block whose packets lie apart in the buffer."""
    buffer = np.frombuffer(b"?" + b"?".join(item.frame for item in packets), dtype=np.uint8).copy()
    caplen = np.array([len(item.frame) for item in packets], dtype=np.int64)
    offset = np.array([1 + sum(caplen[:i]) + i for i in range(len(packets))], dtype=np.int64)
    wirelen, ts_ns = (np.array([item[i] for item in packets], dtype=np.int64) for i in (2, 1))
    return PacketBlock(buffer, offset, caplen, wirelen, ts_ns, np.full(len(packets), linktype, dtype=np.int64))


packets_any = st.builds(
    Packet, st.binary(max_size=80), st.integers(0, 2**62 - 1), st.integers(0, 2**32 - 1), st.just(1)
)


@given(st.lists(st.lists(packets_any, min_size=1, max_size=5), max_size=3))
def test_what_was_written_reads_back_byte_for_byte(blocks: list[list[Packet]]) -> None:
    memory = Memory()
    writer = PcapngWriter(memory, "test")
    interface = writer.add_interface("eth0", 1)
    for packets in blocks:
        writer.write(block := block_from(packets), of(interface, block))
    assert read(memory.content) == ([item for packets in blocks for item in packets], None)
    assert memory.writes == 2 + len(blocks)


def test_packets_of_several_interfaces_keep_their_link_types_and_order() -> None:
    memory = Memory(at_once=7)
    writer = PcapngWriter(memory, "test")
    assert (writer.add_interface("eth0", 1), writer.add_interface("tun0", 101)) == (0, 1)
    packets = [packet(60, 5), packet(61, 6, 101), packet(62, 7)]
    linktypes = np.array([item.linktype for item in packets], dtype=np.int64)
    writer.write(replace(block_from(packets), linktype=linktypes), np.array([0, 1, 0]))
    assert read(memory.content) == (packets, None)
    assert [memory.content.count(name) for name in (b"eth0", b"tun0")] == [1, 1]


def test_an_interface_that_comes_back_with_another_link_type_is_described_again() -> None:
    memory = Memory()
    writer = PcapngWriter(memory, "test")
    writer.add_interface("vpn0", 1)
    writer.add_interface("eth0", 1)
    packets = [packet(60, 5), packet(61, 6, 101), packet(62, 7), packet(63, 8, 101)]
    for item in packets:
        writer.write(block := block_from([item], item.linktype), of(0, block))
    assert read(memory.content) == (packets, None)
    assert memory.content.count(b"vpn0") == 2


def test_an_interface_may_have_a_name_of_any_bytes() -> None:
    assert b"d?" in interface_description("d\udcff", 1)


def test_steady_times_are_written_as_the_wall_clock_shows_them() -> None:
    memory = Memory()
    writer = PcapngWriter(memory, "test")
    writer.add_interface("eth0", 1)
    hour_ns = 3_600_000_000_000
    for step_ns in (0, hour_ns, -hour_ns):
        writer.write(block_from([packet(60, 2 * hour_ns)]), np.zeros(1, dtype=np.int64), step_ns)
    packets, _ = read(memory.content)
    assert [item.ts_ns for item in packets] == [2 * hour_ns, 3 * hour_ns, hour_ns]


def test_a_block_larger_than_the_buffer_is_written_whole(tmp_path: Path) -> None:
    frames = [bytes([number]) * 262_144 for number in range(20)]
    writer = create_capture(tmp_path / "a.pcapng")
    block = block_of(frames, list(range(20)))
    writer.write(block, of(writer.add_interface("lo", 1), block))
    writer.write(nothing := block_of([], []), of(0, nothing))
    writer.close()
    assert read((tmp_path / "a.pcapng").read_bytes()) == (packets_of([block]), None)


@given(st.integers(200, 2000))
def test_a_full_disk_leaves_a_whole_capture(room: int) -> None:
    memory = FullMemory(room)
    writer = PcapngWriter(memory, "test")
    interface = writer.add_interface("eth0", 1)
    block = block_of([bytes([number]) * 60 for number in range(3)], [1, 2, 3])
    for _ in range((room - writer.size) // int(encoded_sizes(block).sum())):
        writer.write(block, of(interface, block))
    with pytest.raises(OutputError, match="no space left"):
        writer.write(block, of(interface, block))
    packets, problem = read(memory.content)
    assert problem is None
    assert (len(packets), len(memory.content)) == (writer.packets, writer.size)


def test_padding_holds_nothing_of_earlier_packets() -> None:
    memory = Memory()
    writer = PcapngWriter(memory, "test")
    interface = writer.add_interface("eth0", 1)
    for frame in (b"\xff" * 100, b"\xee"):
        writer.write(block := block_of([frame], [0]), of(interface, block))
    assert memory.content[-8:-4] == b"\xee\0\0\0"


def test_a_file_that_cannot_be_made_or_filled_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(
        OutputError, match=r"^/nowhere/a\.pcapng: packets cannot be written: no such file or directory$"
    ):
        create_capture(Path("/nowhere/a.pcapng"))
    with pytest.raises(OutputError, match=r": packets cannot be written: is a directory$"):
        create_capture(tmp_path)
    with pytest.raises(OutputError, match=r"^/dev/full: packets cannot be written: no space left$"):
        create_capture(Path("/dev/full"))


def test_a_file_that_others_remove_is_made_anew_with_its_interfaces(tmp_path: Path) -> None:
    path, blocks = tmp_path / "kept.pcapng", [block_of([bytes([number]) * 60], [number]) for number in (1, 2)]
    writer = create_capture(path)
    for name in ("eth0", "eth1"):
        writer.add_interface(name, 1)
    writer.write(blocks[0], of(1, blocks[0]))
    path.unlink()
    writer.write(blocks[1], of(1, blocks[1]))
    writer.close()
    assert read(path.read_bytes()) == (packets_of([blocks[1]]), None)
    assert b"eth0" in path.read_bytes()
    assert b"eth1" in path.read_bytes()
