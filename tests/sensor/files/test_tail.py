"""The end of a file of lines: a new line begins on a line of its own."""

import os
from pathlib import Path

import pytest

from sensor.files.tail import Tail, WholeLines, readable
from tests.trust.lines import full_disks, torn_tails

pytestmark = pytest.mark.ux


def appending(path: Path, flags: int = os.O_WRONLY | os.O_APPEND) -> int:
    return os.open(path, flags | os.O_CREAT, 0o600)


def written(path: Path, *batches: bytes, flags: int = os.O_WRONLY | os.O_APPEND) -> bytes:
    descriptor = appending(path, flags)
    lines = WholeLines(descriptor)
    for batch in batches:
        lines.write(batch)
    lines.close()
    os.close(descriptor)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (b"", b""),
        (b"a\n", b"a\n"),
        (b"a\nhalf", b"a\nhalf\n"),
        (b"a\n\0\0\0", b"a\n"),
        (b"a\nhalf\0\0", b"a\nhalf\n"),
        (b"\0" * 5000, b""),
    ],
)
def test_what_an_earlier_run_left_is_ended_or_cut(tmp_path: Path, rest: bytes, expected: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(rest)
    assert written(path, b"new\n", b"next\n") == expected + b"new\nnext\n"


def test_half_a_line_of_somebody_else_is_ended_in_between(tmp_path: Path) -> None:
    path = tmp_path / "a"
    descriptor = appending(path)
    lines = WholeLines(descriptor)
    lines.write(b"one\n")
    with path.open("ab") as other:
        other.write(b"thei")
    lines.write(b"two\n")
    lines.write(b"three\n")
    os.close(descriptor)
    assert path.read_bytes() == b"one\nthei\ntwo\nthree\n"


def test_a_file_that_may_be_written_and_not_read_gets_an_empty_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensor.files.tail._opened_again", lambda *_: None)
    path = tmp_path / "a"
    path.write_bytes(b"half")
    assert written(path, b"new\n", b"next\n") == b"half\nnew\nnext\n"


def test_what_is_cut_back_meanwhile_gets_no_zeros(tmp_path: Path) -> None:
    path = tmp_path / "a"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)  # as a shell's >
    lines = WholeLines(descriptor)
    lines.write(b"one\n")
    os.truncate(path, 0)
    lines.write(b"two\n")
    os.close(descriptor)
    assert path.read_bytes() == b"two\n"


def test_a_descriptor_is_exchanged_for_one_that_reads_unless_it_is_a_pipes(tmp_path: Path) -> None:
    descriptor = readable(appending(tmp_path / "a"))
    assert os.pread(descriptor, 1, 0) == b""
    os.close(descriptor)
    reader, writer = os.pipe()
    assert readable(writer) == writer
    tail = Tail(writer)
    assert tail.lead() == b""
    assert not tail.take_back(3)
    assert tail.lead() == b"\n"
    os.close(reader)
    os.close(writer)


def test_a_very_long_tail_of_zeros_is_not_read_through(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"a\n")
    os.truncate(path, 1 << 40)
    descriptor = appending(path)
    tail = Tail(descriptor)
    assert tail.lead() == b"\n"
    tail.close()
    os.close(descriptor)


def test_no_end_of_a_file_spoils_a_line() -> None:
    assert not torn_tails(0.05).failures


def test_no_full_disk_leaves_part_of_a_line() -> None:
    assert not full_disks(0.05).failures
