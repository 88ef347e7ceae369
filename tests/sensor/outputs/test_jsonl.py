"""The JSON lines sink: whole lines, in one call, and a plain word when the output is lost."""

import fcntl
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from sensor.errors import OutputError
from sensor.outputs.jsonl import JsonlSink, open_jsonl

pytestmark = pytest.mark.ux


def test_lines_are_appended_to_what_the_file_held(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b"old\n")
    with open_jsonl(path) as sink:
        sink.write([b"a\n", b"b\n"])
        sink.write([])
    assert path.read_bytes() == b"old\na\nb\n"
    assert sink.written == 2


def test_a_batch_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, content: calls.append(len(content)) or write(fd, content))
    with open_jsonl(tmp_path / "x") as sink:
        sink.write([b"line\n"] * 100)
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
    JsonlSink(writer, "pipe").write(lines)
    os.close(writer)
    thread.join(10)
    os.close(reader)
    assert bytes(received) == b"".join(lines)


def test_a_reader_that_has_gone_is_told_apart_from_a_lost_output() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        JsonlSink(writer, "stdout").write([b"x\n"])
    os.close(writer)


def test_a_full_disk_is_one_line_with_the_name_and_what_was_written() -> None:
    with open_jsonl(Path("/dev/full")) as sink, pytest.raises(OutputError, match="/dev/full: no space left, after 0"):
        sink.write([b"x\n"])


def test_a_file_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be opened for writing: no such file"):
        open_jsonl(tmp_path / "absent" / "alerts.jsonl")
    with pytest.raises(OutputError, match="is a directory"):
        open_jsonl(tmp_path)


def test_a_descriptor_that_does_not_wait_and_is_full_is_a_lost_output() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(OutputError, match="too slow"):
        JsonlSink(writer, "pipe").write([b"x" * 99 + b"\n"] * 10_000)
    os.close(writer)
    os.close(reader)


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
        with open_jsonl(path, Games()) as sink:
            sink.write([b"x\n"])
    assert (made.stat().st_uid, made.stat().st_gid, made.stat().st_mode & 0o777) == (5, 60, 0o640)
    assert there.stat().st_uid == 0
    assert there.read_bytes() == b"old\nx\nx\n"


def test_what_was_written_last_can_be_taken_back_unless_others_wrote_since(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with open_jsonl(path) as sink:
        sink.write([b"whole\n", b"part"])
        assert sink.cut(4)
        assert path.read_bytes() == b"whole\n"
        sink.write([b"part"])
        with open_jsonl(path) as other:
            other.write([b"theirs\n"])
        assert not sink.cut(4)
        sink.write([b"next\n"])
    assert path.read_bytes() == b"whole\nparttheirs\nnext\n"
