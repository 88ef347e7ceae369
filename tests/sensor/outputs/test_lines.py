"""Lines to a descriptor: whole lines, in one call, and a plain word when the output is lost."""

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from sensor.errors import OutputError
from sensor.outputs.delivery import Delivery
from sensor.outputs.lines import LinesTransport, open_descriptor
from sensor.outputs.outputs import prepared_outputs, write_all
from sensor.settings.outputs import OwnFile

pytestmark = pytest.mark.ux

LONG_S = 10.0


def delivered(opener: Callable[[], int], *batches: Sequence[bytes], name: str = "x") -> Delivery:
    """An output for whom the first error is final, after its end."""
    output = Delivery(name, LinesTransport(opener, forever=True), None, queue_bytes=32 << 20, first_error_is_final=True)
    for batch in batches:
        write_all((output,), batch)
    output.begin_close(LONG_S)
    output.join()
    return output


def test_lines_are_appended_to_what_the_file_held(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b"old\n")
    output = delivered(partial(open_descriptor, path), [b"a\n", b"b\n"], [])
    assert path.read_bytes() == b"old\na\nb\n"
    assert output.state().written == 2


def test_a_batch_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, content: calls.append(len(content)) or write(fd, content))
    delivered(partial(open_descriptor, tmp_path / "x"), [b"line\n"] * 100)
    assert calls == [500]


def test_a_short_write_is_completed() -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    received = bytearray()

    def drain() -> None:
        while piece := os.read(reader, 1000):
            received.extend(piece)

    thread = threading.Thread(target=drain)
    thread.start()
    lines = [b"%05d\n" % i for i in range(20_000)]
    delivered(lambda: writer, lines)  # which is closed with it
    thread.join(LONG_S)
    os.close(reader)
    assert bytes(received) == b"".join(lines)


def test_a_reader_that_has_gone_is_told_apart_from_a_lost_output() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    gone = delivered(lambda: writer, [b"x\n"], name="stdout")
    full = delivered(partial(open_descriptor, Path("/dev/full")), [b"x\n"])
    assert (gone.broken_pipe, full.broken_pipe) == (True, False)
    assert gone.failed
    assert full.failed


def test_a_full_disk_is_one_line_with_the_name_and_what_was_written() -> None:
    full = delivered(partial(open_descriptor, Path("/dev/full")), [b"x\n"], name="/dev/full")
    assert full.status.problem == "/dev/full: no space left, after no whole lines, 1 lost"


def test_a_file_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be opened for writing: no such file"):
        prepared_outputs([OwnFile(path=tmp_path / "absent" / "alerts.jsonl")], "gw1")
    with pytest.raises(OutputError, match="is a directory"):
        prepared_outputs([OwnFile(path=tmp_path)], "gw1")


@dataclass(frozen=True)
class Games:
    """A user who is not the one that runs the tests."""

    uid: int = 5
    gid: int = 60


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_made_for_somebody_is_theirs_and_one_that_was_there_stays_whose_it_was(tmp_path: Path) -> None:
    made, there, link = tmp_path / "made", tmp_path / "there", tmp_path / "link"
    there.write_bytes(b"old\n")
    link.symlink_to(there)
    for path in (made, there, link):
        (prepared,) = prepared_outputs([OwnFile(path=path)], "gw1", Games())
        prepared.transport.connect()
        prepared.transport.offer([b"x\n"])
        assert prepared.transport.finish(0.0) == 1
    assert (made.stat().st_uid, made.stat().st_gid, made.stat().st_mode & 0o777) == (5, 60, 0o640)
    assert there.stat().st_uid == 0
    assert there.read_bytes() == b"old\nx\nx\n"


class FillingDisk:
    """Takes so many bytes of the next write, and then none until it is freed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room: int | None = room
        self._write = os.write
        monkeypatch.setattr(os, "write", self._written)

    def _written(self, descriptor: int, content: memoryview) -> int:
        if self.room is None:
            return self._write(descriptor, content)
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = self._write(descriptor, content[: self.room])
        self.room -= taken
        return taken


def test_part_of_a_line_is_taken_back_unless_others_wrote_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    transport = LinesTransport(partial(open_descriptor, path))
    transport.connect()
    disk = FillingDisk(monkeypatch, room=10)
    transport.offer([b"whole\n", b"partial\n"])
    with pytest.raises(OSError, match="No space"):
        transport.flush(0.0)
    assert path.read_bytes() == b"whole\n"
    assert transport.confirmed(0.0) == 1
    transport.connect()
    disk.room = 4
    transport.offer([b"partial\n"])
    monkeypatch.setattr("sensor.files.tail.os.fstat", others_before(path, os.fstat))
    with pytest.raises(OSError, match="No space"):
        transport.flush(0.0)
    disk.room = None
    transport.connect()
    transport.offer([b"next\n"])
    transport.finish(0.0)
    assert path.read_bytes() == b"whole\nparttheirs\nnext\n"


def others_before(path: Path, look: Callable[[int], os.stat_result]) -> Callable[[int], os.stat_result]:
    """Somebody else writes to the file at the very moment at which part of a line is to be taken back, once."""
    pending = [b"theirs\n"]

    def fstat(descriptor: int) -> os.stat_result:
        while pending and path.read_bytes().endswith(b"part"):
            with path.open("ab") as other:
                other.write(pending.pop())
        return look(descriptor)

    return fstat


def test_a_write_error_that_is_told_at_the_end_alone_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = os.close

    def refusing(descriptor: int) -> None:
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        close(descriptor)
        if name == str(tmp_path / "a"):
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "close", refusing)
    output = delivered(partial(open_descriptor, tmp_path / "a"), [b"x\n"], name="a")
    assert output.failed
    assert output.state().written == 1
    assert output.status.problem == "a: disk quota exceeded"


def test_a_pipe_is_given_no_more_than_it_takes_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    lines = [b"x" * 2099 + b"\n"] * 14
    for line in lines:
        os.write(writer, line)  # each begins a page
    transport = LinesTransport(lambda: writer)
    transport.connect()
    transport.offer([b"y" * 99 + b"\n"] * 10_000)
    transport.flush(0.0)  # would hang
    assert not transport.idle()
    os.read(reader, 1 << 20)
    written: list[int] = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, content: written.append(len(content)) or write(fd, content))
    transport.flush(0.0)
    assert max(written) > 32_768  # what is empty takes much at once
    transport.finish(0.0)
    os.close(reader)
