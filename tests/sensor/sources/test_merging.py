"""Packets put in order over the edges of blocks, files and captures: nothing depends on how the bytes were read."""

import os
import random
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.arrival import WINDOW_NS
from flows.block import block_of
from flows.meter import Meter, concatenate
from sensor.metering.captures import CaptureTurns
from sensor.sources.captures import merging, stream
from sensor.sources.captures.merging import Part, ReorderWindow, packed
from sensor.sources.captures.stream import CaptureStream
from sensor.synth.pcap import gzipped, pcap_bytes
from tests.support.packets import EPOCH_NS, Packet, tcp, udp

SECOND = 1_000_000_000
BUFFERS = (256, 300, 1000, 4096)  # bytes: from two packets a block on


class Outcome(NamedTuple):
    """All that reading gives."""

    identity: bytes
    values: bytes
    late: int
    remarks: list[str]


def outcome(captures: list[str], buffer: int) -> Outcome:
    """What captures give, read with a buffer of so many bytes each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "LEAST_BUFFER_BYTES", buffer)
        patch.setattr(stream, "BUFFER_BYTES", buffer)
        turns = CaptureTurns(CaptureStream(captures), Meter(4096))
        given = list(turns)
    flows = concatenate([turn.records for turn in given])
    return Outcome(
        flows.identity.tobytes(),
        flows.values.tobytes(),
        given[-1].totals.stats.late,
        sorted(map(unplaced, turns.remarks)),
    )


def unplaced(remark: str) -> str:
    return remark.partition(": ")[2]


def stored(path: Path, packets: list[Packet]) -> str:
    path.write_bytes(pcap_bytes([(packet.ts_ns, packet.frame) for packet in packets], nanoseconds=True))
    return str(path)


def traffic(rng: random.Random, count: int) -> list[Packet]:
    """Packets of a few hosts in order of time, some at one time."""
    packets = []
    at = 0.0
    for _ in range(count):
        at += rng.choice([0, 0, 1e-6, 0.003, 0.08, 0.9, 1.0, 1.3])
        client, server = f"10.0.0.{rng.randint(1, 3)}:{rng.randint(40_000, 40_002)}", f"10.0.0.9:{rng.randint(52, 53)}"
        ends = (client, server) if rng.random() < 0.6 else (server, client)
        if rng.random() < 0.5:
            packets.append(udp(*ends, at=at, payload=rng.randint(0, 90)))
        else:
            packets.append(tcp(*ends, rng.choice(["S", "SA", "A", "PA", "FA", "R"]), at=at))
    return packets


def within_window(rng: random.Random, packets: list[Packet]) -> list[Packet]:
    """The packets in another order, none behind one that is stamped later by more than the window."""
    span = rng.choice([0, 1_000_000, WINDOW_NS // 2, WINDOW_NS])
    return sorted(packets, key=lambda packet: packet.ts_ns + rng.randint(0, span))


def distinct(packets: list[Packet]) -> list[Packet]:
    """The packets at times of their own."""
    return [Packet(packet.frame, packet.ts_ns + i) for i, packet in enumerate(packets)]


seeds = st.integers(0, 1 << 32).map(random.Random)


@given(rng=seeds, count=st.integers(1, 120), buffer=st.sampled_from(BUFFERS))
def test_any_order_within_the_window_is_as_if_in_order_however_it_is_read(
    rng: random.Random, count: int, buffer: int
) -> None:
    with TemporaryDirectory() as directory:
        packets = distinct(traffic(rng, count))
        right = outcome([stored(Path(directory, "right"), packets)], 1 << 20)
        assert outcome([stored(Path(directory, "mixed"), within_window(rng, packets))], buffer) == right
        assert (right.late, right.remarks) == (0, [])


def disturbed(rng: random.Random, packets: list[Packet]) -> list[Packet]:
    """The packets with some clocks that are wrong for one or for many, and some far out of order."""
    packets = within_window(rng, packets)
    for _ in range(rng.randint(0, 3)):
        i = rng.randrange(len(packets))
        ts_ns = max(0, packets[i].ts_ns + rng.choice([-30, -1.5, 1.5, 5, 100_000]) * SECOND)
        packets[i] = Packet(packets[i].frame, int(ts_ns))
    if rng.random() < 0.3:
        i = rng.randrange(len(packets))
        packets[i:] = [Packet(packet.frame, packet.ts_ns - 70 * SECOND) for packet in packets[i:]]
    return packets


@given(rng=seeds, count=st.integers(1, 120), buffer=st.sampled_from(BUFFERS), files=st.integers(1, 4))
def test_merged_captures_do_not_depend_on_where_blocks_end(
    rng: random.Random, count: int, buffer: int, files: int
) -> None:
    """Also where clocks are wrong, packets of several captures have one time, and captures are many: read ahead."""
    parts: list[list[Packet]] = [[] for _ in range(files)]
    for packet in traffic(rng, count):
        rng.choice(parts).append(packet)
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        names = [stored(Path(directory, f"{i}"), disturbed(rng, part)) for i, part in enumerate(parts) if part]
        right = outcome(names, 1 << 20)
        for many in (1, merging.MANY):
            patch.setattr(merging, "MANY", many)
            assert outcome(names, buffer) == right


def test_captures_of_one_time_are_merged_in_few_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step looks at all of them: were each block of any a step, twice as many would take four times as long."""
    names = []
    for number in range(30):
        packets = [udp(f"10.0.0.{number}:5", "10.0.0.9:53", at=i + number / 100) for i in range(200)]
        names.append(stored(tmp_path / f"{number:02}", packets))
    steps = 0
    step = merging.MergedCaptures._next_part

    def counted(captures: merging.MergedCaptures) -> Part:
        nonlocal steps
        steps += 1
        return step(captures)

    monkeypatch.setattr(merging.MergedCaptures, "_next_part", counted)
    monkeypatch.setattr(stream, "LEAST_BUFFER_BYTES", 2000)
    monkeypatch.setattr(stream, "BUFFER_BYTES", 2000)
    assert sum(map(len, CaptureStream(names))) == 30 * 200
    assert steps < 100  # of some 300 blocks


@given(rng=seeds, count=st.integers(2, 120), buffer=st.sampled_from(BUFFERS), data=st.data())
def test_consecutive_captures_are_as_one(rng: random.Random, count: int, buffer: int, data: st.DataObject) -> None:
    """A ring of files, cut anywhere in traffic that is out of order."""
    packets = within_window(rng, distinct(traffic(rng, count)))
    cuts = sorted(data.draw(st.lists(st.integers(1, count - 1), max_size=3, unique=True)))
    with TemporaryDirectory() as directory:
        right = outcome([stored(Path(directory, "whole"), packets)], 1 << 20)
        ends = zip([0, *cuts], [*cuts, count], strict=True)
        names = [stored(Path(directory, f"{i}"), packets[begin:end]) for i, (begin, end) in enumerate(ends)]
        assert outcome(names, buffer) == right


@given(rng=seeds, count=st.integers(1, 120), buffer=st.sampled_from(BUFFERS), held=st.sampled_from([1, 3000, 20_000]))
def test_with_little_memory_too_nothing_depends_on_where_blocks_end(
    rng: random.Random, count: int, buffer: int, held: int
) -> None:
    """What cannot be put in order any more is late, once, however it is read."""
    parts: list[list[Packet]] = [[], []]
    for packet in traffic(rng, count):
        rng.choice(parts).append(packet)
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        names = [stored(Path(directory, f"{i}"), disturbed(rng, part)) for i, part in enumerate(parts) if part]
        patch.setattr(merging, "MAX_HELD_BYTES", held)
        right = outcome(names, 1 << 20)
        assert outcome(names, buffer) == right
        patch.setattr(merging, "MAX_BUFFER_BYTES", 1)  # packed at once
        assert outcome(names, buffer) == right


def test_what_waits_is_bounded_however_many_packets_come_in_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last packet of the window may still come: of 20,000 within it those of the latest 1 MB wait."""
    monkeypatch.setattr(merging, "MAX_HELD_BYTES", 1 << 20)
    window = ReorderWindow()
    came = given = most = 0
    for begin in range(0, 20_000, 100):
        block = block_of([bytes(100)] * 100, list(range(EPOCH_NS + begin, EPOCH_NS + begin + 100)))
        came += 100
        given += sum(len(part) for part in window.add(Part(block, block.ts_ns, in_order=True)))
        most = max(most, came - given)
    assert most <= (1 << 20) // (100 + merging.PACKET_BYTES) + 200


def test_packets_of_a_filter_do_not_keep_the_memory_of_those_left_out() -> None:
    block = block_of([bytes([i]) * 60 for i in range(100)], list(range(100)))
    few = packed(block.select(np.array([70, 3])))
    assert len(few.buffer) == 120
    assert [few.buffer[few.offset[i]] for i in range(2)] == [70, 3]
    assert packed(block) is block


@settings(max_examples=30)
@given(rng=seeds, count=st.integers(1, 120), piece=st.integers(30, 700))
def test_a_compressed_capture_and_a_pipe_are_as_the_file(rng: random.Random, count: int, piece: int) -> None:
    packets = disturbed(rng, traffic(rng, count))
    with TemporaryDirectory() as directory:
        right = outcome([stored(Path(directory, "file"), packets)], 1 << 20)
        content = Path(directory, "file").read_bytes()
        Path(directory, "file.gz").write_bytes(gzipped(content))
        assert outcome([f"{directory}/file.gz"], 256) == right
        os.mkfifo(f"{directory}/pipe")
        writer = threading.Thread(target=write_in_pieces, args=(Path(directory, "pipe"), content, piece))
        writer.start()
        assert outcome([f"{directory}/pipe"], 4096) == right
        writer.join()


def write_in_pieces(pipe: Path, content: bytes, piece: int) -> None:
    with pipe.open("wb", buffering=0) as stream:
        for begin in range(0, len(content), piece):
            stream.write(content[begin : begin + piece])


def test_a_file_is_in_a_stream_once_whatever_names_lead_to_it(tmp_path: Path) -> None:
    capture, link, other = (tmp_path / name for name in ("a.pcap", "latest.pcap", "b.pcap"))
    packet = tcp("10.0.0.1:40000", "10.0.0.2:80", "S", at=0.0)
    content = pcap_bytes([(packet.ts_ns, packet.frame)])
    capture.write_bytes(content)
    other.write_bytes(content)  # another tap
    link.symlink_to(capture)
    for names, packets in (([tmp_path], 2), ([capture, f"{tmp_path}/./a.pcap", link], 1), ([tmp_path, capture], 2)):
        read = CaptureStream([str(name) for name in names])
        assert read.size == packets * len(content)
        assert sum(map(len, read)) == packets


def test_a_capture_that_vanishes_between_two_looks_leaves_the_size_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "isfile", lambda _path: True)  # as it was a moment ago
    assert CaptureStream([str(tmp_path / "gone.pcap")]).size is None


def test_captures_are_not_looked_at_any_more_once_reading_is_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [str(tmp_path / f"{number}.pcap") for number in range(1000)]
    for name in names:
        Path(name).touch()
    reading, looked = CaptureStream(names), list[str]()

    def look(name: str) -> float:
        looked.append(name)
        reading.stopping = True  # as a signal's handler has it, whose thread is another
        return 0.0

    monkeypatch.setattr(stream, "_first_packet_ns", look)
    assert list(reading) == []
    assert len(looked) == 1
