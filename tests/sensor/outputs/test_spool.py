"""The spool of an output: what earlier runs and releases left is delivered; whatever is done to it costs no more."""

import os
import shutil
from pathlib import Path

import pytest

from sensor.errors import OutputError
from sensor.outputs.spool import MARK_LINES, Spool
from tests.trust.lines import alerts, files_end_at
from tests.trust.spools import spool_attacks

pytestmark = pytest.mark.ux

ROOM = 8 << 20


def drained(spool: Spool) -> list[bytes]:
    """All lines, delivered and confirmed."""
    found: list[bytes] = []
    while lines := spool.take(1 << 17):
        spool.settle(len(lines))
        found += lines
    return found


def test_a_spool_of_a_release_before_is_delivered_from_where_it_was_confirmed(tmp_path: Path) -> None:
    lines = alerts(1, 30)
    (tmp_path / "lock").touch()
    (tmp_path / "00000007.jsonl").write_bytes(b"".join(lines[:20]))
    (tmp_path / "00000008.jsonl").write_bytes(b"".join(lines[20:]) + b'{"half')
    (tmp_path / "confirmed").write_text(f"7 {len(b''.join(lines[:5]))}\n")
    spool = Spool(tmp_path, ROOM)
    assert len(spool) == 25
    assert spool.append(alerts(31, 2)) == 2
    assert drained(spool) == [*lines[5:], *alerts(31, 2)]
    assert (len(spool), spool.lost()) == (0, 0)
    spool.close()
    assert (tmp_path / "format").read_text() == "spool/2\n"


def test_a_format_of_a_later_release_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "format").write_text("spool/3\n")
    (tmp_path / "00000001.jsonl").write_bytes(b"what only that release knows\n")
    with pytest.raises(OutputError, match="found spool/3, which a newer flowvigil wrote; expected spool/1 to spool/2"):
        Spool(tmp_path, ROOM)
    assert (tmp_path / "00000001.jsonl").exists()


def test_a_mark_never_speaks_of_another_segment_than_it_was_made_for(tmp_path: Path) -> None:
    first = Spool(tmp_path, ROOM)
    first.append(alerts(1, 10))
    drained(first)
    first.close()
    for path in tmp_path.glob("*.jsonl"):
        path.unlink()
    second = Spool(tmp_path, ROOM)
    second.append(alerts(11, 20))  # and is killed here: nothing is closed
    third_lines = copied(tmp_path)
    assert third_lines == alerts(11, 20)
    second.close()


def copied(directory: Path) -> list[bytes]:
    """What another sensor would find there."""
    copy = directory.with_name("copy")
    shutil.copytree(directory, copy)
    spool = Spool(copy, ROOM)
    lines = drained(spool)
    spool.close()
    return lines


def test_a_confirmation_is_written_from_time_to_time(tmp_path: Path) -> None:
    lines = [b'{"n":%d}\n' % number for number in range(MARK_LINES + 10)]
    spool = Spool(tmp_path / "spool", ROOM)
    for first in range(0, len(lines), 100):
        spool.append(lines[first : first + 100])
    taken: list[bytes] = []
    while more := spool.take(1 << 17):
        taken += more
    spool.settle(MARK_LINES)
    assert copied(tmp_path / "spool") == lines[MARK_LINES:]
    spool.close()


def test_what_was_not_confirmed_is_handed_out_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ROOM)
    lines = alerts(1, 50)
    spool.append(lines)
    spool.take(20_000)
    spool.settle(3)
    spool.rewind()
    assert drained(spool) == lines[3:]
    spool.close()


def test_lines_wait_in_memory_while_the_disk_takes_none_and_reach_it_at_the_end(tmp_path: Path) -> None:
    lines = alerts(1, 10)
    with files_end_at(0):
        spool = Spool(tmp_path / "spool", ROOM)
        assert spool.append(lines) == 10
        assert spool.take(len(lines[0])) == lines[:1]
        spool.settle(1)
    assert "lines wait in memory" in spool.problem
    spool.close()
    assert spool.lost() == 0
    assert copied(tmp_path / "spool") == lines[1:]


def test_a_directory_that_is_removed_is_made_anew_and_its_last_segment_is_still_delivered(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    spool.append(alerts(1, 5))
    shutil.rmtree(tmp_path / "spool")
    spool.append(alerts(6, 5))
    assert drained(spool) == alerts(1, 10)
    assert spool.lost() == 0
    spool.append(alerts(11, 1))
    spool.close()
    assert copied(tmp_path / "spool") == alerts(11, 1)


def test_a_line_with_a_flipped_bit_is_lost_and_counted_and_no_other(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    lines = alerts(1, 5)
    spool.append(lines)
    (path,) = (tmp_path / "spool").glob("*.jsonl")
    content = path.read_bytes()
    at = content.index(lines[2]) + 100
    with path.open("r+b") as out:
        out.seek(at)
        out.write(bytes([content[at] ^ 4]))
    assert drained(spool) == [*lines[:2], *lines[3:]]
    spool.close()
    assert spool.lost() == 1
    assert "1 line of it cannot be read any more" in spool.problem


def test_nothing_of_a_large_size_is_read_at_the_start(tmp_path: Path) -> None:
    for name in ("00000001.jsonl", "confirmed", "format"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 1 << 40)
    spool = Spool(tmp_path, ROOM)
    assert len(spool) == 0
    assert "00000001.jsonl is no segment" in spool.problem
    spool.append([b'{"a":1}\n'])
    assert drained(spool) == [b'{"a":1}\n']
    spool.close()


def test_no_attack_on_a_spool_stops_an_output() -> None:
    outcome = spool_attacks(0.01)
    assert not outcome.failures
