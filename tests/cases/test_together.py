"""Several captures of the same time, and one whose packets are not in the order of time: read as one stream.

Each case is a situation of somebody's network, with traffic of our own making and what is right, and why.
"""

import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from flows.arrival import WINDOW_NS
from flows.batch import END_NS, SRC_LOW, SRC_PORT, START_NS, FlowBatch
from flows.meter import Meter, concatenate
from sensor.metering.captures import CaptureTurns
from sensor.sources.captures import pool
from sensor.sources.captures.stream import CaptureStream
from sensor.synth.pcap import pcap_bytes
from tests.support.packets import EPOCH_NS, Packet, tcp, udp

SECOND = 1_000_000_000


def session(client: str, at: float, server: str = "10.0.0.2:443") -> list[Packet]:
    """A connection of ten packets, six out and four back, from SYN to the last ACK."""
    talk = [
        (client, server, "S"), (server, client, "SA"), (client, server, "A"), (client, server, "PA"),
        (server, client, "A"), (server, client, "PA"), (client, server, "A"), (client, server, "FA"),
        (server, client, "FA"), (client, server, "A"),
    ]  # fmt: skip
    return [tcp(*ends, flags, at=at + 0.005 * i) for i, (*ends, flags) in enumerate(talk)]


def stored(path: Path, packets: list[Packet]) -> str:
    path.write_bytes(pcap_bytes([(packet.ts_ns, packet.frame) for packet in packets], nanoseconds=True))
    return str(path)


def read(*captures: str) -> tuple[FlowBatch, CaptureTurns]:
    source = CaptureTurns(CaptureStream(captures), Meter(65_536))
    return concatenate([turn.records for turn in source]), source


def counts(flows: FlowBatch) -> Counter[tuple[int, int]]:
    both = zip(flows.column("fwd_packets").tolist(), flows.column("bwd_packets").tolist(), strict=True)
    ended = flows.identity[:, 11] != 0
    return Counter((int(there), int(back)) for (there, back), last in zip(both, ended, strict=True) if last)


def test_a_tap_that_writes_a_file_for_each_direction(tmp_path: Path) -> None:
    """All connections have both directions, and the times of their packets: the order of the files says nothing."""
    packets = [packet for i in range(60) for packet in session(f"10.0.0.1:{40_000 + i}", at=5.0 * i)]
    out = [packet for packet in packets if packet.frame[26:30] == bytes([10, 0, 0, 1])]
    back = [packet for packet in packets if packet.frame[26:30] == bytes([10, 0, 0, 2])]
    for names in ("ab", "ba"):
        flows, source = read(stored(tmp_path / names[0], out), stored(tmp_path / names[1], back))
        assert counts(flows) == {(6, 4): 60}
        starts = np.unique(flows.identity[:, START_NS])
        assert starts.tolist() == [EPOCH_NS + 5 * SECOND * i for i in range(60)]
        assert source.remarks == []


def test_a_thousand_captures_of_the_same_time_are_merged_with_few_of_them_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each host's packets are spread over the files; what is open at once is bounded."""
    monkeypatch.setattr(pool, "MAX_OPEN", 8)
    files = [[udp(f"10.{i // 250}.{i % 250}.1:5", "10.9.9.9:53", at=second + i / 1e4) for second in (0, 3)] for i in
             range(1000)]  # fmt: skip
    names = [stored(tmp_path / f"{i:04}.pcap", packets) for i, packets in enumerate(files)]
    most = 0
    stream = CaptureStream(names)
    for block in stream:
        most = max(most, sum("pcap" in str(link.resolve()) for link in Path("/proc/self/fd").iterdir()))
        assert bool(np.all(block.ts_ns[1:] >= block.ts_ns[:-1]))
    assert 0 < most <= pool.MAX_OPEN + 1
    flows, _ = read(*names)
    assert len(np.unique(flows.identity[:, SRC_LOW])) == 1000
    assert counts(flows) == {(2, 0): 1000}


def test_a_flow_that_rotation_cut_is_one_flow(tmp_path: Path) -> None:
    packets = session("10.0.0.1:40000", at=0)
    flows, _ = read(stored(tmp_path / "2", packets[5:]), stored(tmp_path / "1", packets[:5]))
    assert counts(flows) == {(6, 4): 1}


def test_an_answer_that_stands_before_its_question(tmp_path: Path) -> None:
    """Two capture threads write so: the records' times say who asked."""
    packets = [
        udp("10.0.0.53:53", "10.0.0.1:5555", at=0.004, payload=100),
        udp("10.0.0.1:5555", "10.0.0.53:53", payload=40),
    ]
    flows, source = read(stored(tmp_path / "dns", packets))
    assert flows.identity[0, SRC_PORT] == 5555
    assert flows.identity[0, [START_NS, END_NS]].tolist() == [EPOCH_NS, EPOCH_NS + 4_000_000]
    assert source.remarks == []


def shuffled(seed: int, packets: list[Packet], within_s: float) -> list[Packet]:
    rng = random.Random(seed)
    return sorted(packets, key=lambda packet: packet.ts_ns + rng.uniform(0, within_s * 1e9))


def traffic(sessions: int = 300) -> list[Packet]:
    packets = [packet for i in range(sessions) for packet in session(f"10.0.0.1:{30_000 + i}", at=0.03 * i)]
    return sorted(packets, key=lambda packet: packet.ts_ns)


@pytest.mark.parametrize("seed", range(3))
def test_records_out_of_order_within_the_window_are_as_if_in_order(tmp_path: Path, seed: int) -> None:
    packets = [Packet(packet.frame, packet.ts_ns + i) for i, packet in enumerate(traffic())]  # no two at one time
    right, _ = read(stored(tmp_path / "right", packets))
    found, source = read(stored(tmp_path / "mixed", shuffled(seed, packets, 0.9 * WINDOW_NS / 1e9)))
    assert np.array_equal(found.identity, right.identity)
    assert np.array_equal(found.values, right.values)
    assert source.remarks == []


def test_records_out_of_order_by_more_are_told_with_how_far_and_how_to_mend_it(tmp_path: Path) -> None:
    packets = [udp(f"10.0.0.{1 + i}:5", "10.0.1.1:53", at=float(i)) for i in range(100)]
    packets.insert(90, packets.pop(50))
    flows, source = read(stored(tmp_path / "late", packets))
    assert source.remarks == [
        f"{tmp_path}/late: 1 packet stamped up to 40.0 s before those ahead of them, more than the 1.0 s within which "
        "they are put in order (reordercap sorts a capture as a whole)"
    ]
    assert sorted(set(flows.identity[:, START_NS].tolist())) == [EPOCH_NS + SECOND * i for i in range(100)]


@pytest.mark.skipif(shutil.which("mergecap") is None, reason="mergecap is not installed")
def test_it_is_what_mergecap_gives(tmp_path: Path) -> None:
    """But of packets of one time the order is that of the files, which mergecap does not promise."""
    rng = random.Random(7)
    parts: list[list[Packet]] = [[], [], []]
    for packet in traffic(200):
        parts[rng.randrange(3)].append(Packet(packet.frame, packet.ts_ns // 40_000_000 * 40_000_000))
    names = [stored(tmp_path / f"{i}.pcap", part) for i, part in enumerate(parts)]
    subprocess.run(["mergecap", "-F", "nsecpcap", "-w", tmp_path / "merged", *names], check=True)
    ours, theirs = (list(_packets(CaptureStream(given))) for given in (names, [str(tmp_path / "merged")]))
    assert len(ours) == sum(len(part) for part in parts)
    assert [ts_ns for ts_ns, _ in ours] == [ts_ns for ts_ns, _ in theirs]
    assert sorted(ours) == sorted(theirs)
    by_file = [(packet.ts_ns, i, packet.frame) for i, part in enumerate(parts) for packet in part]
    assert ours == [(ts_ns, frame) for ts_ns, _, frame in sorted(by_file, key=lambda packet: packet[:2])]


def _packets(stream: CaptureStream) -> list[tuple[int, bytes]]:
    return [
        (int(block.ts_ns[i]), block.buffer[block.offset[i] : block.offset[i] + block.caplen[i]].tobytes())
        for block in stream
        for i in range(len(block))
    ]


@pytest.mark.skipif(shutil.which("reordercap") is None, reason="reordercap is not installed")
def test_it_is_what_reordercap_gives_within_the_window(tmp_path: Path) -> None:
    packets = [Packet(packet.frame, packet.ts_ns + i) for i, packet in enumerate(traffic(200))]
    mixed = stored(tmp_path / "mixed", shuffled(3, packets, 0.2))
    subprocess.run(["reordercap", mixed, tmp_path / "sorted"], check=True, capture_output=True)
    ours, theirs = (list(_packets(CaptureStream([str(given)]))) for given in (mixed, tmp_path / "sorted"))
    assert len(ours) == len(packets)
    assert ours == theirs


def test_a_file_that_another_has_replaced_while_it_was_closed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ring of files reuses its names: what stands at the place of the first one is not its continuation."""
    monkeypatch.setattr(pool, "MAX_OPEN", 1)
    names = [stored(tmp_path / name, traffic(3000)) for name in "ab"]  # more than one buffer each
    stream = CaptureStream(names)
    blocks = iter(stream)
    next(blocks)
    for name in names:
        Path(name).rename(f"{name}.old")
        stored(Path(name), traffic(3000))
    for _ in blocks:
        pass
    assert stream.problems
    assert all("unreadable after" in problem for problem in stream.problems)


@pytest.mark.parametrize("seed", range(3))
def test_what_cannot_be_put_in_order_is_not_mixed_further(tmp_path: Path, seed: int) -> None:
    """A resolver that logs a question with its answer when that has come: no answer gets before its question."""
    rng = random.Random(seed)
    packets = []
    for i in range(2000):
        at, wait = 0.05 * i, rng.choice([0.01, 0.3, 0.9, 1.6, 2.7])
        client = f"10.0.{i // 250}.{1 + i % 250}:{20_000 + i}"
        asked_at = at - rng.choice([0, 0, 2.0])
        packets.append(udp(client, "10.9.0.53:53", at=10 + asked_at, payload=40))
        packets.append(udp("10.9.0.53:53", client, at=10 + asked_at + wait, payload=90))
    flows, _ = read(stored(tmp_path / "dns", packets))
    assert counts(flows) == {(1, 1): 2000}
    assert 53 not in flows.identity[:, SRC_PORT].tolist()
