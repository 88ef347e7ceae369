"""Lines out of bytes as they come, of which anybody may have written any number."""

import gzip
import time
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from sensor.alerts.json_lines import LineSplitter, may_be_ours
from sensor.alerts.reading import ReadErrors, entries

BLANK = b" \n\n\t\r\n" * 5_000  # whole pieces of it hold nothing else


@given(
    st.lists(
        st.sampled_from([b"", b"\n", b" ", b"\n\n", b" \n", b"{}", b'{"a":1}\n', b"x", b'{"flowvigil"', b":1}\n"]),
        max_size=40,
    )
)
@example([b" ", b"\n", b"{}\n"])
def test_lines_are_those_of_all_bytes_whatever_pieces_they_come_in(pieces: list[bytes]) -> None:
    splitter = LineSplitter()
    lines = [line for piece in pieces for line in splitter.lines(piece)] + list(splitter.end())
    assert None not in lines
    whole = b"".join(pieces)
    expected = whole if whole.endswith(b"\n") or not whole else whole + b"\n"
    assert b"".join(line or b"" for line in lines) == expected
    assert all(line and (line.count(b"\n") == 1 or not may_be_ours(line)) for line in lines)


def test_foreign_lines_are_counted_one_by_one_whatever_pieces_they_come_in(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    foreign = (b"{}\n" * 30_000 + b"\n \n") * 3
    path.write_bytes(b"\n\n" + foreign + b'{"flowvigil":1}\n' + foreign)
    errors = ReadErrors()
    assert not list(entries([str(path)], errors))
    assert errors.left_out == {"no record of this sensor": 180_001}
    assert [place for place, _ in errors.first.values()] == [f"{path}:3"]


def test_a_packed_file_of_tiny_lines_costs_no_time(tmp_path: Path) -> None:
    path = tmp_path / "tiny.jsonl.gz"
    path.write_bytes(gzip.compress(b"{}\n" * 10_000_000, 1))
    errors = ReadErrors()
    began = time.process_time()
    assert not list(entries([str(path)], errors))
    assert time.process_time() - began < 3  # fifteen seconds where each is parsed
    assert errors.left_out == {"no record of this sensor": 10_000_000}


def test_blank_lines_count_where_a_fault_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(BLANK + b"nothing\n" + BLANK + b"\nnothing\n")
    errors = ReadErrors()
    assert not list(entries([str(path)], errors))
    before = BLANK.count(b"\n")
    assert sum(errors.left_out.values()) == 2
    assert [place for place, _ in errors.first.values()] == [f"{path}:{before + 1}"]


def test_a_packed_file_of_blank_lines_costs_no_time(tmp_path: Path) -> None:
    path = tmp_path / "blank.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n" * (64 << 20), 9))
    began = time.process_time()
    assert not list(entries([str(path)], ReadErrors()))
    assert time.process_time() - began < 2  # seven seconds where each is looked at
