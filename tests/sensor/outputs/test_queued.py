"""The queued sink: whoever writes never waits, nothing is lost uncounted, and no file holds part of a line."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from sensor.outputs.jsonl import JsonlSink, open_descriptor, open_jsonl
from sensor.outputs.queued import QueuedSink

pytestmark = pytest.mark.ux

LONG_S = 10.0


def numbered(first: int, count: int, width: int = 100) -> list[bytes]:
    """Lines that are told apart, `width` bytes each."""
    return [f"{i:0{width - 1}d}\n".encode() for i in range(first, first + count)]


def numbers_in(content: bytes) -> list[int]:
    """Numbers of the lines; fails when one of them is not whole."""
    lines = content.splitlines(keepends=True)
    assert all(line.endswith(b"\n") and len(line) == len(lines[0]) for line in lines)
    return [int(line) for line in lines]


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Reading and writing end; a test may close them itself."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_lines_arrive_in_the_order_in_which_they_were_handed_over(tmp_path: Path) -> None:
    sink = QueuedSink(open_jsonl(tmp_path / "a"))
    for first in range(0, 20_000, 10):
        sink.write(numbered(first, 10))
    assert sink.close(LONG_S)
    assert numbers_in((tmp_path / "a").read_bytes()) == list(range(20_000))
    assert sink.lost == 0
    assert sink.problem is None
    assert not sink.broken_pipe


def test_a_line_is_written_at_once(tmp_path: Path) -> None:
    sink = QueuedSink(open_jsonl(tmp_path / "a"))
    sink.write([b"x\n"])
    wait_until(lambda: (tmp_path / "a").read_bytes() == b"x\n")
    sink.close(LONG_S)


def test_a_reader_that_stops_holds_nobody_up_and_costs_whole_lines_that_are_counted(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = QueuedSink(JsonlSink(writer, "stdout"), capacity_bytes=100_000)
    start = time.monotonic()
    for first in range(0, 10_000, 100):
        sink.write(numbered(first, 100))
    assert time.monotonic() - start < 1
    assert sink.lost > 6_000
    assert sink.problem == f"stdout: the reader is too slow, {sink.lost:,} lines lost"
    received = bytearray()
    while len(received) < (10_000 - sink.lost) * 100:
        received += os.read(reader, 65536)
    numbers = numbers_in(bytes(received))
    assert len(numbers) == 10_000 - sink.lost
    assert numbers == sorted(set(numbers))
    assert numbers[:1000] == list(range(1000))  # for these there was room before anything was lost
    sink.write(numbered(10_000, 1))
    assert sink.close(LONG_S)
    assert numbers_in(os.read(reader, 65536)) == [10_000]


def test_a_reader_that_never_reads_is_given_up_and_what_it_did_not_get_is_counted(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = QueuedSink(JsonlSink(writer, "stdout"))
    sink.write(numbered(0, 10_000))
    start = time.monotonic()
    assert not sink.close(0.2)
    assert time.monotonic() - start < 2
    os.set_blocking(reader, False)
    in_the_pipe = len(os.read(reader, 1 << 20)) // 100
    assert 10_000 - in_the_pipe <= sink.lost <= 10_000
    sink.write(numbered(0, 5))
    assert sink.lost >= 10_005 - in_the_pipe


def test_a_process_ends_in_time_with_its_exit_code_though_nobody_reads() -> None:
    program = (
        "import sys\n"
        "from sensor.outputs.jsonl import JsonlSink\n"
        "from sensor.outputs.queued import QueuedSink\n"
        "sink = QueuedSink(JsonlSink(1, 'stdout'))\n"
        "sink.write([b'x' * 99 + b'\\n'] * 10_000)\n"
        "sink.close(0.3)\n"
        "sys.exit(7 if sink.lost else 0)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.wait(LONG_S) == 7
    assert process.communicate()[1] == b""


def test_a_descriptor_that_does_not_wait_loses_nothing(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    sink = QueuedSink(JsonlSink(writer, "stdout"))
    sink.write(numbered(0, 5_000))
    time.sleep(0.1)
    assert sink.problem is None  # a pipe that is full now is no failure
    received = bytearray()
    while len(received) < 500_000:
        received += os.read(reader, 10_000)
    assert numbers_in(bytes(received)) == list(range(5_000))
    assert sink.close(LONG_S)


def test_a_reader_that_has_gone_is_remembered_and_its_lines_are_counted(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    sink = QueuedSink(JsonlSink(writer, "stdout"))
    sink.write([b"x\n"] * 3)
    wait_until(lambda: sink.broken_pipe)
    sink.write([b"x\n"])
    assert sink.lost == 4
    assert sink.problem == "stdout: the reader has gone, 4 lines lost"
    sink.close(LONG_S)
    assert sink.lost == 4


def test_a_full_device_is_named_and_every_line_counted() -> None:
    sink = QueuedSink(open_jsonl(Path("/dev/full")))
    sink.write([b"x\n"] * 3)
    wait_until(lambda: sink.problem is not None)
    assert sink.problem == "/dev/full: no space left"
    assert sink.lost == 0  # it may pass
    assert not sink.close(0.1)
    assert sink.problem == "/dev/full: no space left, 3 lines lost"


def test_a_disk_that_fills_up_and_is_freed_again_costs_nothing(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(40_000))
    sink = QueuedSink(open_jsonl(small_disk / "a"))
    for first in range(0, 500, 10):
        sink.write(numbered(first, 10, width=70))
    wait_until(lambda: sink.problem is not None)
    assert "no space left" in str(sink.problem)
    (small_disk / "ballast").unlink()
    assert sink.close(LONG_S)
    assert numbers_in((small_disk / "a").read_bytes()) == list(range(500))
    assert sink.lost == 0
    assert sink.problem is None


def test_a_disk_that_stays_full_keeps_whole_lines_only(small_disk: Path) -> None:
    sink = QueuedSink(open_jsonl(small_disk / "a"))
    sink.write(numbered(0, 5_000, width=71))
    assert not sink.close(0.3)
    kept = numbers_in((small_disk / "a").read_bytes())
    assert kept == list(range(5_000 - sink.lost))
    assert len(kept) > 500


def test_a_full_disk_is_left_behind_by_reopening_elsewhere(small_disk: Path, tmp_path: Path) -> None:
    sink = QueuedSink(open_jsonl(small_disk / "a"))
    sink.write(numbered(0, 5_000, width=71))
    wait_until(lambda: sink.problem is not None)
    sink.reopen(partial(open_descriptor, tmp_path / "b"), "b")
    assert sink.close(LONG_S)
    first, second = (numbers_in(path.read_bytes()) for path in (small_disk / "a", tmp_path / "b"))
    assert first + second == list(range(5_000))
    assert sink.problem is None


def test_rotation_under_load_leaves_each_line_in_exactly_one_file(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    sink = QueuedSink(open_jsonl(path))
    stop = threading.Event()
    handed = 0

    def load() -> None:
        nonlocal handed
        while not stop.is_set():
            sink.write(numbered(handed, 7))
            handed += 7
            time.sleep(0.0002)

    loading = threading.Thread(target=load)
    loading.start()
    for rotation in range(10):
        before = handed
        wait_until(lambda before=before: handed > before + 50)  # type: ignore[misc]
        path.rename(tmp_path / f"alerts.jsonl.{rotation}")
        sink.reopen(partial(open_descriptor, path))
    stop.set()
    loading.join()
    assert sink.close(LONG_S)
    files = [*(tmp_path / f"alerts.jsonl.{rotation}" for rotation in range(10)), path]
    assert [number for file in files for number in numbers_in(file.read_bytes())] == list(range(handed))
    assert sink.lost == 0


def test_an_output_that_cannot_be_reopened_goes_on_as_it_was(tmp_path: Path) -> None:
    sink = QueuedSink(open_jsonl(tmp_path / "a"))
    with pytest.raises(Exception, match="cannot be opened for writing"):
        sink.reopen(partial(open_descriptor, tmp_path / "absent" / "a"))
    sink.write([b"x\n"])
    assert sink.close(LONG_S)
    assert (tmp_path / "a").read_bytes() == b"x\n"


def test_a_reader_that_comes_back_gets_lines_again(tmp_path: Path, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    sink = QueuedSink(JsonlSink(writer, "fifo"))
    sink.write([b"x\n"])
    wait_until(lambda: sink.broken_pipe)
    sink.reopen(partial(open_descriptor, tmp_path / "a"), "a")
    sink.write([b"y\n"])
    assert sink.close(LONG_S)
    assert not sink.broken_pipe
    assert (tmp_path / "a").read_bytes() == b"y\n"
    assert sink.problem == "a: the reader has gone, 1 line lost"
