"""Packets to a named pipe: nobody waits for its reader, and each reader gets a whole section."""

import os
import time
from pathlib import Path

import pytest

from flows.block import block_of
from sensor.packets.pipe import WAITING_BYTES, PacketsMissedError, PipeWriter
from tests.sensor.packets.test_pcapng import of
from tests.support.capture_bytes import packets_of, read


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def reader_of(pipe: Path) -> int:
    return os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)


def test_without_a_reader_packets_are_missed_and_nobody_waits(pipe: Path) -> None:
    writer = PipeWriter(pipe)
    block = block_of([b"\x01" * 60], [1])
    interface = writer.add_interface("eth0", 1)
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(PacketsMissedError, match="nobody reads it yet"):
            writer.write(block, of(interface, block))
    assert time.monotonic() - began < 20
    assert writer.packets == 0
    writer.close()


def test_each_reader_gets_a_section_of_its_own(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.packets.pipe.AGAIN_S", 0.0)
    writer = PipeWriter(pipe)
    interface = writer.add_interface("eth0", 1)
    for number in (1, 2):
        reader = reader_of(pipe)
        block = block_of([bytes([number]) * 60], [number])
        writer.write(block, of(interface, block))
        assert read(os.read(reader, 1 << 16)) == (packets_of([block]), None)
        os.close(reader)
        with pytest.raises(PacketsMissedError, match="the reader has gone"):
            writer.write(block, of(interface, block))
    assert writer.packets == 2
    writer.close()


def test_a_reader_that_stops_costs_packets_and_no_time(pipe: Path) -> None:
    writer = PipeWriter(pipe)
    interface = writer.add_interface("eth0", 1)
    reader = reader_of(pipe)
    block = block_of([b"\x01" * 1400] * 100, list(range(100)))
    began, missed = time.monotonic(), 0
    for _ in range(100):
        try:
            writer.write(block, of(interface, block))
        except PacketsMissedError as error:
            missed += "the reader is too slow" in str(error)
    assert time.monotonic() - began < 20
    assert missed > 0
    content = b""
    with pytest.raises(PacketsMissedError):
        writer.write(block, of(interface, block))
    while len(content) < WAITING_BYTES:
        content += os.read(reader, 1 << 16)
        try:
            writer.write(empty := block_of([b"\x02"], [0]), of(interface, empty))
        except PacketsMissedError:
            continue
    writer.close()
    while piece := os.read(reader, 1 << 16):
        content += piece
    packets, _ = read(content)
    assert len(packets) > 1000
    os.close(reader)
