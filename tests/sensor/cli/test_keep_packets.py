"""`flowvigil read --keep-packets` as a user meets it: files that tshark reads, with exactly the packets it finds."""

import gzip
import itertools
import json
import os
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    IP_VERSION,
    PROTOCOL,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    address,
)
from flows.block import PacketBlock
from sensor.alerts.alert_flow import AlertFlow, AlertItem
from sensor.cli.build import build_judge, build_meter, build_packet_recorder, load_model, make_packet_directory
from sensor.cli.flags import Flags
from sensor.metering.captures import CaptureTurns
from sensor.packets.directory import PacketDirectory
from sensor.packets.ring import PacketRing
from sensor.progress.progress import KeptPackets
from sensor.run.detection import Detection
from sensor.sources.captures.files import CaptureFile
from tests.support.capture_bytes import Arriving, read
from tests.support.command import DEMO, alerts_of, flowvigil

pytestmark = pytest.mark.ux

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")

FIELDS = ("frame.time_epoch", "ip.src", "ip.dst", "ip.proto", "tcp.srcport", "tcp.dstport", "ip.id", "frame.len")
Row = tuple[str, ...]  # what tshark says of a packet, in the order of FIELDS


def kept(
    capture: bytes, directory: Path, piece: int, *settings: str, memory: int = 1 << 24
) -> tuple[dict[str, bytes], list[AlertFlow], KeptPackets]:
    """Files, flows and the account of a run over a capture that is read in pieces of so many bytes."""
    config = Flags(keep_packets=directory, overrides=[f"keep_packets.{setting}" for setting in settings]).settings()
    make_packet_directory(config)
    hybrid, published = load_model(config), Published()
    with ExitStack() as stack:
        recorder = build_packet_recorder(stack, config)
        assert recorder is not None
        recorder.ring = PacketRing(memory)  # the settings allow no memory as small as a test needs
        detection = Detection(build_judge(config, hybrid), published, recorder)  # type: ignore[arg-type]
        source = OneCapture(CaptureFile(Arriving(capture, itertools.repeat(piece)), "demo"))
        for turn in CaptureTurns(source, build_meter(config), recorder.ring):  # type: ignore[arg-type]
            detection.consume(turn)
        detection.finish()
    files = {path.name: path.read_bytes() for path in sorted(directory.iterdir())}
    return files, published.flows, recorder.state


@dataclass
class OneCapture:
    """A capture that is read from memory, as sensor.sources.captures.stream.CaptureStream gives it."""

    capture: CaptureFile
    filtered: int = 0
    bytes_read: int = 0
    size: int | None = None
    late: int = 0
    clock_jumps: int = 0

    def __iter__(self) -> Iterator[PacketBlock]:
        yield from self.capture


@dataclass
class Published:
    """Keeps the flows that are published."""

    flows: list[AlertFlow] = field(default_factory=list)

    def publish(self, items: Sequence[AlertItem], _step_ns: int) -> None:
        self.flows += [item for item in items if isinstance(item, AlertFlow)]


@pytest.fixture(scope="module")
def demo() -> bytes:
    return gzip.decompress(DEMO.read_bytes())


def test_the_same_capture_gives_the_same_files_whatever_the_size_of_its_blocks(demo: bytes, tmp_path: Path) -> None:
    # little memory, so that packets leave it before their flows are told, and little room in a file
    runs = [
        kept(demo, tmp_path / str(piece), piece, "alert_packets=700", memory=1 << 17)
        for piece in (1 << 20, 65_521, 3000)
    ]
    assert runs[0][0] == runs[1][0] == runs[2][0]
    assert runs[0][2] == runs[1][2] == runs[2][2]
    assert len(runs[0][0]) == 4
    assert runs[0][2].forgotten
    assert runs[0][2].over_limit


@needs_tshark
def test_each_file_has_exactly_the_packets_that_tshark_finds_of_its_flows(demo: bytes, tmp_path: Path) -> None:
    (whole := tmp_path / "demo.pcap").write_bytes(demo)
    files, flows, state = kept(demo, tmp_path / "d", 1 << 20, "alert_packets=1000000", "alert_bytes=1073741824")
    assert (state.forgotten, state.over_limit, state.lost, state.files) == (0, 0, 0, 4)
    by_ends: defaultdict[tuple[frozenset[tuple[str, str]], str], list[Row]] = defaultdict(list)
    for row in tshark(whole, "ip && tcp"):
        by_ends[frozenset({(row[1], row[4]), (row[2], row[5])}), row[3]].append(row)
    for name, content in files.items():
        (path := tmp_path / name).write_bytes(content)
        expected = set[Row]()
        for flow in flows:
            if flow.alert_id + ".pcapng" == name:
                start, end = flow.identity[START_NS], flow.identity[END_NS]
                expected |= {row for row in by_ends[ends_of(flow)] if start <= ns(row) <= end}
        found = tshark(path, "frame")
        assert Counter(found) == Counter(expected)
        assert [ns(row) for row in found] == sorted(ns(row) for row in found)
    assert sum(len(tshark(tmp_path / name, "frame")) for name in files) == state.packets


@needs_tshark
def test_tshark_shows_what_is_missing_and_complains_of_nothing(demo: bytes, tmp_path: Path) -> None:
    files, _, _ = kept(demo, tmp_path, 1 << 20)
    for name in files:
        command = ["capinfos", "-k", str(tmp_path / name)]
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert f"flowvigil alert {name.removesuffix('.pcapng')}, sensor " in told.stdout
        assert " packets of its flows that are missing: " in told.stdout
        read = subprocess.run(["tshark", "-n", "-r", str(tmp_path / name)], capture_output=True, timeout=60, check=True)
        assert not [line for line in read.stderr.splitlines() if b"root" not in line]


def ends_of(flow: AlertFlow) -> tuple[frozenset[tuple[str, str]], str]:
    identity = flow.identity
    source = address(identity[SRC_HIGH], identity[SRC_LOW], identity[IP_VERSION]), str(identity[SRC_PORT])
    target = address(identity[DST_HIGH], identity[DST_LOW], identity[IP_VERSION]), str(identity[DST_PORT])
    return frozenset({source, target}), str(identity[PROTOCOL])


def ns(row: Row) -> int:
    seconds, _, fraction = row[0].partition(".")
    return int(seconds) * 10**9 + int(fraction.ljust(9, "0"))


def tshark(path: Path, expression: str) -> list[Row]:
    fields = [word for name in FIELDS for word in ("-e", name)]
    command = ["tshark", "-n", "-r", str(path), "-Y", expression, "-T", "fields", *fields]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]


def test_an_alert_names_the_file_in_which_its_packets_are(tmp_path: Path) -> None:
    result = flowvigil("read", DEMO, "--keep-packets", tmp_path / "new" / "packets", "-q")
    named = {alert["event"]["id"]: alert["flowvigil"]["packets_file"] for alert in alerts_of(result.stdout)}
    assert result.code == 0
    assert sorted(named.values()) == sorted(os.listdir(tmp_path / "new" / "packets"))
    assert all(name == f"{identifier}.pcapng" for identifier, name in named.items())
    plain = flowvigil("read", DEMO, "-q")
    without = [json.loads(line) for line in result.stdout.splitlines()]
    for alert in without:
        del alert["flowvigil"]["packets_file"]
    assert without == [json.loads(line) for line in plain.stdout.splitlines()]


def test_each_file_reaches_from_what_led_to_its_alert_to_its_last_packet(tmp_path: Path) -> None:
    result = flowvigil("read", DEMO, "--keep-packets", tmp_path, "-q")
    last_lines = {alert["event"]["id"]: alert for alert in alerts_of(result.stdout)}
    assert len(last_lines) == 4
    for identifier, alert in last_lines.items():
        stamps = [packet.ts_ns for packet in read((tmp_path / f"{identifier}.pcapng").read_bytes())[0]]
        start, end = (datetime.fromisoformat(alert["event"][name]).timestamp() for name in ("start", "end"))
        assert stamps[-1] == pytest.approx(end * 1e9, abs=2e3)  # a record has microseconds
        assert 0 <= stamps[0] / 1e9 - start < 0.1  # of a flood more than 256 flows led to it
        assert len(stamps) == 1000 or alert["flowvigil"]["flows"] == 119


def test_the_end_tells_what_was_kept_also_from_stdin_and_another_run_makes_the_same_files(tmp_path: Path) -> None:
    first = flowvigil("read", DEMO, "--keep-packets", tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = flowvigil("read", "-", "--keep-packets", tmp_path, stdin=DEMO.read_bytes())
    (line,) = [line for line in first.stderr if "packets of alerts" in line]
    packets = sum(len(read(content)[0]) for content in before.values())
    assert len(before) == 4
    assert line.startswith(f"flowvigil: packets of alerts: {packets:,} kept in 4 files")
    assert line in again.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_directory_that_cannot_be_written_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    result = flowvigil("read", DEMO, "--keep-packets", tmp_path / "file" / "packets")
    assert (result.code, result.stdout) == (7, b"")
    (line,) = [line for line in result.stderr if "compiling" not in line]
    assert line.endswith("packets: not a directory, expected a directory or a place for one")


def test_a_directory_that_another_sensor_uses_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    other = PacketDirectory(tmp_path, 1 << 20)
    result = flowvigil("read", DEMO, "--keep-packets", tmp_path)
    other.close()
    assert (result.code, result.stdout, os.listdir(tmp_path)) == (7, b"", [])
    assert result.stderr[-1].endswith(
        f"{tmp_path}: used by another process of flowvigil, expected a directory of its own"
    )


def test_packets_are_not_kept_among_the_captures_that_are_read(tmp_path: Path) -> None:
    capture = Path(shutil.copy(DEMO, tmp_path))
    for name in (capture, tmp_path):
        result = flowvigil("read", name, "--keep-packets", tmp_path)
        assert (result.code, result.stdout, os.listdir(tmp_path)) == (7, b"", [capture.name])
        assert "which is to be read, expected another directory" in result.stderr[-1]


def test_several_workers_and_kept_packets_are_refused_in_one_line(tmp_path: Path) -> None:
    result = flowvigil("watch", "-i", "lo", "--keep-packets", tmp_path, "--set", "capture.workers=2")
    assert result.code == 3
    assert "capture.workers 2: expected 1 worker, in whose memory all packets are" in result.stderr[-1]


@needs_root
def test_a_disk_that_is_full_gives_exit_code_7_and_all_alerts(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True, timeout=10, check=False
    )
    if mounted.returncode:
        pytest.skip("no disk of our own can be mounted here")
    try:
        result = flowvigil("read", DEMO, "--keep-packets", tmp_path)
        for path in tmp_path.iterdir():
            assert path.read_bytes()[:4] == bytes.fromhex("0a0d0d0a")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True, timeout=10)
    assert result.code == 7
    assert len({alert["event"]["id"] for alert in alerts_of(result.stdout)}) == 4
    assert any("packets cannot be written: no space left" in line for line in result.stderr)
    assert any("packets could not be written" in line for line in result.stderr)
