"""Independent captures under names that no one expects, and that go, come or grow while they are read."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sensor.jobs.run_directory import ALERTS
from sensor.synth.generate import generate
from sensor.synth.pcap import pcap_bytes, write_pcap
from sensor.synth.scenarios.portscan import PORTSCAN
from tests.support.command import flowvigil, started

pytestmark = pytest.mark.takes(15)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
ODD = (b"-dash.pcap", b"line\nend.pcap", b"\x1b[2Jscreen.pcap", b"no-\xff-text.pcap", b"a/same.pcap", b"b/same.pcap")
SHOWN = ("-dash.pcap", "line\\nend.pcap", "\\x1b[2Jscreen.pcap", "no-\\udcff-text.pcap", "a/same.pcap", "b/same.pcap")
LONG_S = 60.0


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small capture with an alert."""
    path = tmp_path_factory.mktemp("scan") / "scan.pcap"
    write_pcap(path, pcap_bytes(generate([PORTSCAN], seed=1, minutes=0.2).packets, 96))
    return path


def test_odd_names_are_read_and_escaped_and_what_is_no_file_is_skipped(scan: Path, tmp_path: Path) -> None:
    place, run = tmp_path / "captures", tmp_path / "run"
    for name in ODD:
        path = place / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(scan, path)
    (place / "loop").symlink_to(place)
    (place / "nothing").symlink_to(place / "gone")
    (place / "zeros").symlink_to("/dev/zero")
    os.mkfifo(place / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place / "socket"))
        result = flowvigil("read", place, "--independent", "--run", run)
    assert result.code == 0, result.stderr
    assert result.stdout == (run / ALERTS).read_bytes()
    told = {json.loads(line)["log"]["file"]["path"] for line in result.stdout.splitlines()}
    assert told == {f"{place}/{name}" for name in SHOWN}
    assert result.stderr[0].startswith("flowvigil: skipped 4, no capture: ")
    assert all(line.startswith("flowvigil: ") and line.isprintable() for line in result.stderr)
    again = flowvigil("read", place, "--independent", "--run", run, "--resume", "-q")
    assert (again.code, again.stdout) == (0, b"")  # all of it was known


def run_with(place: Path, change: Callable[[], None], *arguments: str | Path) -> tuple[int, list[str]]:
    """Exit code and stderr of a run that reads a pipe first, which ends after the change; then what was named."""
    pipe = place / "first.pcap"
    os.mkfifo(pipe)
    with started("read", pipe, *arguments, "--independent", "--workers", "1", "-q") as process:
        deadline = time.monotonic() + LONG_S
        while (writing := opened_for_writing(pipe)) is None:  # nobody reads it yet
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        change()
        os.close(writing)
        _, said = process.communicate(timeout=LONG_S)
    return process.returncode, said.decode().splitlines()


def opened_for_writing(pipe: Path) -> int | None:
    with suppress(OSError):
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    return None


def test_captures_that_go_grow_or_change_midway_are_each_told_of_or_read(scan: Path, tmp_path: Path) -> None:
    vanished, grown, cut, changed = (tmp_path / f"{name}.pcap" for name in ("vanished", "grown", "cut", "changed"))
    for path in (vanished, grown, cut, changed):
        shutil.copy(scan, path)
    run, content = tmp_path / "run", scan.read_bytes()

    def change() -> None:
        vanished.unlink()
        grown.write_bytes(content + content[24:])
        os.truncate(cut, len(content) // 2)
        changed.unlink()
        changed.mkdir()

    code, said = run_with(tmp_path, change, vanished, grown, cut, changed, "--run", run)
    assert code == 6, said
    assert [line.split("flowvigil: ")[1].split(":")[0] for line in said] == [
        str(path) for path in (tmp_path / "first.pcap", vanished, cut, changed)
    ]
    assert "found no such file" in said[1]
    shutil.copy(scan, vanished)
    again = flowvigil("read", vanished, grown, "--independent", "--run", run, "--resume", "-q")
    assert (again.code, again.stderr) == (0, [])
    told = [json.loads(line)["log"]["file"]["path"] for line in (run / ALERTS).read_bytes().splitlines()]
    assert set(told) == {str(vanished), str(grown)}


def test_a_run_whose_directory_goes_midway_ends_in_one_line(scan: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    code, said = run_with(tmp_path, lambda: shutil.rmtree(run), scan, "--run", run)
    assert (code, len(said)) == (7, 1), said
    assert "cannot be written (no such file or directory)" in said[0]


@needs_root
def test_a_full_disk_ends_a_run_in_one_line_and_it_goes_on_later(scan: Path, tmp_path: Path) -> None:
    arguments = ("read", scan, "--independent", "--run", tmp_path / "run", "-q")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(tmp_path)], capture_output=True, timeout=10, check=False
    )
    if mounted.returncode:
        pytest.skip("no disk of our own can be mounted here")
    try:
        full = flowvigil(*arguments)
        subprocess.run(["mount", "-o", "remount,size=4m", str(tmp_path)], check=True, timeout=10)
        room = flowvigil(*arguments, "--resume")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True, timeout=10)
    assert (full.code, len(full.stderr)) == (7, 1), full.stderr
    assert "cannot be written (no space left" in full.stderr[0]
    assert (room.code, room.stderr) == (0, [])
