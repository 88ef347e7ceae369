"""stdout and the sensor's own file: who cannot wait never does, who can loses nothing, and no line is halved."""

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sensor.errors import ConfigError, OutputError
from sensor.outputs.delivery import Delivery
from sensor.outputs.lines import LinesTransport
from sensor.outputs.outputs import Outputs, Prepared, close_all, prepared_outputs, write_all
from sensor.outputs.transports import encoder_of
from sensor.settings.outputs import FileEntry, OutputEntry, OwnFile, OwnStdout, StdoutEntry, all_outputs
from tests.support.waiting import wait_until

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


def to_file(path: Path, *, patience_s: float = 0.0) -> Outputs:
    """The sensor's own file."""
    return Outputs(prepared_outputs([OwnFile(path=path)], "gw1"), patience_s)


def to_pipe(writer: int, *, patience_s: float = 0.0, queue_bytes: int = 32 << 20) -> Outputs:
    """stdout, which is a pipe here."""
    entry = OwnStdout(queue_bytes=queue_bytes)
    return Outputs([Prepared(entry, LinesTransport(lambda: os.dup(writer), forever=True), None)], patience_s)


def problem_of(outputs: Outputs) -> str | None:
    """What the only output says is wrong, also while it may still pass."""
    delivery: Delivery = outputs._deliveries[0]
    return delivery.status.problem


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


# Whoever cannot wait


def test_lines_arrive_in_the_order_in_which_they_were_handed_over(tmp_path: Path) -> None:
    outputs = to_file(tmp_path / "a")
    for first in range(0, 20_000, 10):
        outputs.write(numbered(first, 10))
    outputs.close(LONG_S)
    assert numbers_in((tmp_path / "a").read_bytes()) == list(range(20_000))
    assert outputs.lost == 0
    assert outputs.problems == []
    assert not outputs.broken_pipe
    assert not outputs.failed


def test_a_line_is_written_at_once(tmp_path: Path) -> None:
    outputs = to_file(tmp_path / "a")
    outputs.write([b"x\n"])
    wait_until(lambda: (tmp_path / "a").read_bytes() == b"x\n")
    outputs.close(LONG_S)


def test_beginning_and_end_wait_for_nothing(tmp_path: Path) -> None:
    start = time.monotonic()
    for number in range(100):
        with to_file(tmp_path / "a", patience_s=number % 2) as outputs:
            outputs.write([b"x\n"])
    assert time.monotonic() - start < 20
    assert (tmp_path / "a").read_bytes() == b"x\n" * 100


def test_a_reader_that_stops_holds_nobody_up_and_costs_whole_lines_that_are_counted(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    outputs = to_pipe(writer, queue_bytes=100_000)
    start = time.monotonic()
    for first in range(0, 10_000, 100):
        outputs.write(numbered(first, 100))
    assert time.monotonic() - start < 10
    assert outputs.lost > 6_000
    assert outputs.problems == [f"stdout: the reader is too slow, {outputs.lost:,} lines lost"]
    received = bytearray()
    while len(received) < (10_000 - outputs.lost) * 100:
        received += os.read(reader, 65536)
    numbers = numbers_in(bytes(received))
    assert len(numbers) == 10_000 - outputs.lost
    assert numbers == sorted(set(numbers))
    assert numbers[:1000] == list(range(1000))  # for these there was room before anything was lost
    lost = outputs.lost
    outputs.write(numbered(10_000, 1))
    outputs.close(LONG_S)
    assert outputs.lost == lost
    assert numbers_in(os.read(reader, 65536)) == [10_000]


def test_a_reader_that_never_reads_is_given_up_and_what_it_did_not_get_is_counted(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    outputs = to_pipe(writer)
    outputs.write(numbered(0, 10_000))
    start = time.monotonic()
    outputs.close(0.2)
    assert time.monotonic() - start < 10
    os.set_blocking(reader, False)
    in_the_pipe = len(os.read(reader, 1 << 20)) // 100
    assert 10_000 - in_the_pipe <= outputs.lost <= 10_000
    assert outputs.lost > 0
    outputs.write(numbered(0, 5))
    assert outputs.lost >= 10_005 - in_the_pipe


def test_a_process_ends_in_time_with_its_exit_code_though_nobody_reads() -> None:
    program = (
        "import sys\n"
        "from sensor.outputs.outputs import Outputs, prepared_outputs\n"
        "from sensor.settings.outputs import OwnStdout\n"
        "outputs = Outputs(prepared_outputs([OwnStdout()], 'gw1'))\n"
        "outputs.write([b'x' * 99 + b'\\n'] * 10_000)\n"
        "outputs.close(0.3)\n"
        "sys.exit(7 if outputs.lost else 0)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.wait(LONG_S) == 7
    assert process.communicate()[1] == b""


@pytest.mark.parametrize("patience_s", [0.0, 5.0], ids=["cannot wait", "can wait"])
def test_a_descriptor_that_does_not_wait_loses_nothing(pipe: tuple[int, int], patience_s: float) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    outputs = to_pipe(writer, patience_s=patience_s)
    outputs.write(numbered(0, 5_000))
    time.sleep(0.1)
    assert problem_of(outputs) is None  # a pipe that is full now is no failure
    received = bytearray()
    while len(received) < 500_000:
        received += os.read(reader, 10_000)
    assert numbers_in(bytes(received)) == list(range(5_000))
    outputs.close(LONG_S)
    assert outputs.lost == 0


def test_a_reader_that_has_gone_is_remembered_and_its_lines_are_counted(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    outputs = to_pipe(writer)
    outputs.write([b"x\n"] * 3)
    wait_until(lambda: outputs.broken_pipe)
    outputs.write([b"x\n"])
    assert outputs.lost == 4
    assert problem_of(outputs) == "stdout: the reader has gone, 4 lines lost"
    outputs.close(LONG_S)
    assert outputs.lost == 4
    assert outputs.problems == []  # it left of its own will


def test_who_can_wait_is_told_of_a_reader_that_has_gone_as_by_a_write(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    outputs = to_pipe(writer, patience_s=5.0)
    with suppress(BrokenPipeError):  # as soon as its thread has tried
        outputs.write([b"x\n"])
    wait_until(lambda: outputs.over)
    with pytest.raises(BrokenPipeError):
        outputs.write([b"x\n"])
    with pytest.raises(BrokenPipeError):
        outputs.close(LONG_S)


def test_a_full_device_is_named_and_every_line_counted() -> None:
    outputs = to_file(Path("/dev/full"))
    outputs.write([b"x\n"] * 3)
    wait_until(lambda: problem_of(outputs) is not None)
    assert problem_of(outputs) == "/dev/full: no space left, after no whole lines"
    assert outputs.lost == 0  # it may pass
    assert not outputs.failed
    outputs.close(0.1)
    assert outputs.lost == 3
    assert outputs.problems == ["/dev/full: no space left, after no whole lines, 3 lost"]


def test_a_disk_that_fills_up_and_is_freed_again_costs_nothing(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(40_000))
    outputs = to_file(small_disk / "a")
    for first in range(0, 500, 10):
        outputs.write(numbered(first, 10, width=70))
    wait_until(lambda: problem_of(outputs) is not None)
    assert "no space left" in str(problem_of(outputs))
    (small_disk / "ballast").unlink()
    outputs.close(LONG_S)
    assert numbers_in((small_disk / "a").read_bytes()) == list(range(500))
    assert outputs.lost == 0
    assert problem_of(outputs) is None


def test_a_disk_that_stays_full_keeps_whole_lines_only(small_disk: Path) -> None:
    outputs = to_file(small_disk / "a")
    outputs.write(numbered(0, 5_000, width=71))
    outputs.close(0.3)
    assert outputs.lost > 0
    kept = numbers_in((small_disk / "a").read_bytes())
    assert kept == list(range(5_000 - outputs.lost))
    assert len(kept) > 500


def test_a_full_disk_is_left_behind_by_reopening_elsewhere(small_disk: Path, tmp_path: Path) -> None:
    outputs = to_file(small_disk / "a")
    outputs.write(numbered(0, 5_000, width=71))
    wait_until(lambda: problem_of(outputs) is not None)
    outputs.reopen(tmp_path / "b")
    outputs.close(LONG_S)
    first, second = (numbers_in(path.read_bytes()) for path in (small_disk / "a", tmp_path / "b"))
    assert first + second == list(range(5_000))
    assert outputs.lost == 0
    assert problem_of(outputs) is None


def test_rotation_under_load_leaves_each_line_in_exactly_one_file(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    outputs = to_file(path)
    stop = threading.Event()
    handed = 0

    def load() -> None:
        nonlocal handed
        while not stop.is_set():
            outputs.write(numbered(handed, 7))
            handed += 7
            time.sleep(0.0002)

    loading = threading.Thread(target=load)
    loading.start()
    for rotation in range(10):
        before = handed
        wait_until(lambda before=before: handed > before + 50)  # type: ignore[misc]
        path.rename(tmp_path / f"alerts.jsonl.{rotation}")
        outputs.reopen(path)
    stop.set()
    loading.join()
    outputs.close(LONG_S)
    files = [*(tmp_path / f"alerts.jsonl.{rotation}" for rotation in range(10)), path]
    assert [number for file in files for number in numbers_in(file.read_bytes())] == list(range(handed))
    assert outputs.lost == 0


def test_an_output_that_cannot_be_reopened_goes_on_as_it_was_and_the_others_are_reopened(tmp_path: Path) -> None:
    listed = FileEntry(type="file", path=tmp_path / "b")
    outputs = Outputs(prepared_outputs([OwnFile(path=tmp_path / "a"), listed], "gw1"))
    (tmp_path / "b").rename(tmp_path / "b.1")
    with pytest.raises(OutputError, match="cannot be opened for writing"):
        outputs.reopen(tmp_path / "absent" / "a")
    outputs.write([b"x\n"])
    outputs.close(LONG_S)
    assert outputs.lost == 0
    assert (tmp_path / "a").read_bytes() == b"x\n"
    assert ((tmp_path / "b").read_bytes(), (tmp_path / "b.1").read_bytes()) == (b"x\n", b"")


def test_a_reader_that_comes_back_gets_lines_again(tmp_path: Path, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    entry = OwnFile(path=tmp_path / "fifo")
    outputs = Outputs([Prepared(entry, LinesTransport(lambda: os.dup(writer), forever=True), None)])
    outputs.write([b"x\n"])
    wait_until(lambda: outputs.broken_pipe)
    outputs.reopen(tmp_path / "a")
    outputs.write([b"y\n"])
    outputs.close(LONG_S)
    assert outputs.lost == 1
    assert not outputs.broken_pipe
    assert (tmp_path / "a").read_bytes() == b"y\n"
    assert outputs.problems == [f"{tmp_path}/a: the reader has gone, 1 line lost"]


def test_what_a_privilege_has_opened_stays_open_over_an_error(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(60_000))
    outputs = to_file(small_disk / "a")
    outputs.write(numbered(0, 500))
    wait_until(lambda: problem_of(outputs) is not None)
    (small_disk / "a").rename(small_disk / "b")
    (small_disk / "a").mkdir()  # as good as a file that may not be opened any more
    (small_disk / "ballast").unlink()
    outputs.close(LONG_S)
    assert numbers_in((small_disk / "b").read_bytes()) == list(range(500))
    assert outputs.lost == 0


# Whoever can wait


def test_a_slow_reader_is_waited_for_without_limit_and_gets_everything(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    outputs = to_pipe(writer, patience_s=0.01, queue_bytes=65536)
    received = bytearray()

    def read_slowly() -> None:
        while len(received) < 500_000:
            time.sleep(0.05)  # longer than a listed output would be waited for
            received.extend(os.read(reader, 20_000))

    reading = threading.Thread(target=read_slowly)
    reading.start()
    for first in range(0, 5_000, 500):
        outputs.write(numbered(first, 500))
    outputs.close(0.0)
    reading.join(LONG_S)
    assert numbers_in(bytes(received)) == list(range(5_000))
    assert outputs.lost == 0


def test_time_in_which_the_run_itself_stood_still_costs_no_patience(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by Ctrl-Z and fg: the reader had no chance to show that it reads."""
    other = Delivery("other", LinesTransport(lambda: os.dup(pipe[1])), None, queue_bytes=65536, patience_s=10.0)
    waits, received = [0], bytearray()

    def read_all() -> None:
        while len(received) < 1_500_000:
            if select.select([pipe[0]], [], [], LONG_S)[0]:
                received.extend(os.read(pipe[0], 65536))

    reading = threading.Thread(target=read_all)

    def stopped_meanwhile(self: Delivery, seconds: float) -> None:
        waits[0] += 1
        passed_s[0] += 3600.0 if waits[0] == 1 else 0.0
        if waits[0] == 3:
            reading.start()
        wait_for_room(self, seconds)

    passed_s, wait_for_room, clock = [0.0], Delivery.wait_for_room, time.monotonic
    monkeypatch.setattr(Delivery, "wait_for_room", stopped_meanwhile)
    monkeypatch.setattr("sensor.outputs.outputs.time.monotonic", lambda: clock() + passed_s[0])
    write_all([other], numbered(0, 15_000))
    assert other.status.lost == 0
    assert waits[0] >= 3
    reading.join(LONG_S)
    close_all([other], 1.0)
    assert numbers_in(bytes(received)) == list(range(15_000))


def test_an_interrupt_ends_the_waiting_for_room_and_at_the_end(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    outputs = to_pipe(writer, patience_s=20.0, queue_bytes=65536)
    threading.Timer(0.3, outputs.stop_waiting).start()
    start = time.monotonic()
    outputs.write(numbered(0, 10_000))
    assert 0.2 < time.monotonic() - start < 10
    outputs.close(LONG_S)
    assert time.monotonic() - start < 15
    os.set_blocking(reader, False)
    assert 10_000 - len(os.read(reader, 1 << 20)) // 100 <= outputs.lost


def test_a_process_that_is_to_end_on_the_spot_waits_for_nobody(pipe: tuple[int, int]) -> None:
    start = time.monotonic()
    outputs = to_pipe(pipe[1], patience_s=20.0)
    outputs.write(numbered(0, 10_000))
    with pytest.raises(SystemExit), outputs:
        raise SystemExit(130)
    assert time.monotonic() - start < 10
    assert outputs.lost > 0


def test_a_disk_that_refuses_is_told_at_once_and_costs_the_other_outputs_nothing(tmp_path: Path) -> None:
    entries: list[OutputEntry] = [OwnFile(path=Path("/dev/full")), FileEntry(type="file", path=tmp_path / "b")]
    outputs = Outputs(prepared_outputs(entries, "gw1"), patience_s=5.0)
    outputs.write(numbered(0, 10))
    told: list[tuple[str, str]] = []
    wait_until(lambda: told.extend(outputs.news()) or bool(told))
    assert told == [("output-failed", "/dev/full: no space left, after no whole lines")]
    outputs.write(numbered(10, 10))
    start = time.monotonic()
    outputs.close(LONG_S)
    assert time.monotonic() - start < LONG_S / 2
    assert outputs.problems == ["/dev/full: no space left, after no whole lines, 20 lost"]
    assert not outputs.broken_pipe
    assert not outputs.over
    assert outputs.lost == 20
    assert numbers_in((tmp_path / "b").read_bytes()) == list(range(20))


def test_where_there_is_room_again_the_gap_is_told(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(60_000))
    outputs = Outputs(prepared_outputs([OwnFile(path=small_disk / "a", queue_bytes=20_000)], "gw1"))
    told: list[tuple[str, str]] = []
    outputs.write(numbered(0, 150))
    wait_until(lambda: told.extend(outputs.news()) or bool(told))
    outputs.write(numbered(150, 500))
    assert outputs.news() == []  # once is enough
    lost = outputs.lost
    assert lost > 100
    (small_disk / "ballast").unlink()
    wait_until(lambda: told.extend(outputs.news()) or len(told) > 1)
    outputs.write(numbered(1000, 1))
    outputs.close(LONG_S)
    assert told[0][1].startswith(f"{small_disk}/a: no space left, after ")
    assert told[1] == ("output-goes-on", f"{small_disk}/a: goes on, {lost:,} lines lost")
    numbers = numbers_in((small_disk / "a").read_bytes())
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 651 - lost
    assert numbers[-1] == 1000


def test_after_a_final_error_the_file_ends_with_a_whole_line(small_disk: Path) -> None:
    outputs = to_file(small_disk / "a", patience_s=5.0)
    outputs.write(numbered(0, 5_000, width=71))
    outputs.close(LONG_S)
    kept = numbers_in((small_disk / "a").read_bytes())
    assert kept == list(range(5_000 - outputs.lost))
    assert outputs.problems == [
        f"{small_disk}/a: no space left, after {len(kept):,} whole lines, {outputs.lost:,} lost"
    ]


def test_a_named_pipe_is_waited_for_without_holding_anybody_up_and_outlives_its_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    start = time.monotonic()
    outputs = Outputs(prepared_outputs([OwnFile(path=tmp_path / "fifo")], "gw1"))
    outputs.write(numbered(0, 100))
    assert time.monotonic() - start < 10
    told: list[tuple[str, str]] = []
    wait_until(lambda: told.extend(outputs.news()) or bool(told))
    assert told == [("output-failed", f"{tmp_path}/fifo: nobody reads it yet")]
    outputs.reopen(tmp_path / "fifo")  # as after a log rotation, which is none of its business
    for first in (0, 100):
        reader = os.open(tmp_path / "fifo", os.O_RDONLY)
        outputs.write(numbered(first, 100) if first else [])
        received = b""
        while len(received) < 10_000:
            received += os.read(reader, 10_000)
        assert numbers_in(received) == list(range(first, first + 100))
        os.close(reader)
    outputs.close(LONG_S)
    assert outputs.lost == 0
    assert not outputs.over


def test_dead_outputs_are_waited_for_side_by_side_and_once_in_a_run(tmp_path: Path) -> None:
    entries: list[OutputEntry] = [FileEntry(type="file", path=tmp_path / "lines")]
    for name in ("a", "b", "c"):
        os.mkfifo(tmp_path / name)
        entries.append(FileEntry(type="file", path=tmp_path / name, queue_bytes=65536))
    outputs = Outputs(prepared_outputs(entries, "gw1"), patience_s=1.0)
    start = time.monotonic()
    for first in range(0, 6_000, 10):
        outputs.write(numbered(first, 10))
    assert 0.9 < time.monotonic() - start < 3
    outputs.close(LONG_S)
    assert time.monotonic() - start < 6
    assert numbers_in((tmp_path / "lines").read_bytes()) == list(range(6_000))
    assert outputs.lost == 18_000


def test_a_reader_of_stdout_that_has_gone_costs_the_other_outputs_nothing(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    os.close(reader)
    stdout = Prepared(OwnStdout(), LinesTransport(lambda: os.dup(writer), forever=True), None)
    outputs = Outputs([stdout, *prepared_outputs([OwnFile(path=tmp_path / "a")], "gw1")], patience_s=5.0)
    for first in range(0, 100, 10):
        outputs.write(numbered(first, 10))
    wait_until(lambda: outputs.broken_pipe)
    assert not outputs.over
    outputs.close(LONG_S)
    assert numbers_in((tmp_path / "a").read_bytes()) == list(range(100))


# The one list


def test_stdout_and_the_own_file_come_before_the_list() -> None:
    listed = FileEntry(type="file", path=Path("b"))
    entries = all_outputs(Path("a"), [listed], lines_on_stdout=True)
    assert [entry.name for entry in entries] == ["stdout", "a", "file b"]
    assert [entry.listed for entry in entries] == [False, False, True]
    assert all_outputs(None, [], lines_on_stdout=False) == ()


def test_the_own_file_is_refused_in_the_list() -> None:
    listed = FileEntry(type="file", path=Path("a"), format="eve")
    with pytest.raises(ConfigError, match=r"^outputs has file a, which is output.file too: "):
        all_outputs(Path.cwd() / "a", [listed], lines_on_stdout=True)


def test_a_listed_stdout_stands_in_place_of_the_own_one() -> None:
    listed = StdoutEntry(type="stdout", format="eve")
    assert all_outputs(None, [listed], lines_on_stdout=True) == (listed,)
    assert encoder_of(listed) is not None


def test_only_listed_outputs_have_an_account_but_lines_lost_anywhere_count(tmp_path: Path) -> None:
    entries: list[OutputEntry] = [OwnFile(path=Path("/dev/full")), FileEntry(type="file", path=tmp_path / "b")]
    outputs = Outputs(prepared_outputs(entries, "gw1"))
    outputs.write([b"x\n"])
    assert outputs.reopen() == 1
    outputs.close(0.1)
    (state,) = outputs.states()
    assert (state.name, state.written, state.lost) == (f"file {tmp_path}/b", 1, 0)
    assert outputs.lost == 1
