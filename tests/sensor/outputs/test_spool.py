"""The spool of an output: what earlier runs and releases left is delivered; whatever is done to it costs no more."""

import os
import shutil
import time
from pathlib import Path

import pytest

from sensor.errors import OutputError
from sensor.outputs.outputs import Outputs, prepared_outputs
from sensor.outputs.spool import MARK_LINES, Spool
from sensor.outputs.spool_directory import checked
from sensor.settings.outputs import UnixEntry
from tests.trust.lines import alerts, files_end_at
from tests.trust.spools import spool_attacks

pytestmark = pytest.mark.ux

ROOM = 8 << 20
LONG_S = 20.0


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


@pytest.mark.parametrize("part", [0, 1, 3])
@pytest.mark.parametrize("again", [False, True])
def test_lines_of_a_segment_that_others_took_away_or_cut_short_are_lost_at_the_end(
    part: int, tmp_path: Path, *, again: bool
) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    lines = alerts(1, 5)
    spool.append(lines)
    if again:  # of an earlier run, which is not held open
        spool.close()
        spool = Spool(tmp_path / "spool", ROOM)
    (path,) = (tmp_path / "spool").glob("*.jsonl")
    if part:
        os.truncate(path, len(b"".join(map(checked, lines[:part]))) + 7)
    else:
        (tmp_path / "other").write_bytes(b"x" * 40_000)
        os.replace(tmp_path / "other", path)  # another file of that name is not it
    spool.append(alerts(6, 2))
    spool.close()
    assert spool.lost() == 5 - part
    assert f"{5 - part} lines went with segments that others removed or cut short" in spool.problem
    assert len(spool) == part + 2
    assert copied(tmp_path / "spool") == [*lines[:part], *alerts(6, 2)]


def test_segments_that_are_taken_away_while_a_receiver_is_away_make_room_and_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensor.outputs.spool.LOOK_S", 0.0)
    line = b"x" * 8000 + b"\n"
    spool = Spool(tmp_path, ROOM)
    count = 0
    while taken := spool.append([line] * 50):
        count += taken
    (first, *_) = sorted(tmp_path.glob("*.jsonl"))
    gone = first.read_bytes().count(b"\n")
    handed_out = len(spool.take(20_000))
    first.unlink()
    deadline = time.monotonic() + LONG_S
    while spool.append([line] * 50) < 50:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert spool.lost() == gone - handed_out
    assert len(spool) == count - gone + handed_out + 50
    spool.settle(handed_out)
    assert len(drained(spool)) == count - gone + 50
    assert (len(spool), spool.lost()) == (0, 0)
    spool.close()


def test_an_output_tells_what_its_spool_has_lost(tmp_path: Path) -> None:
    entry = UnixEntry(type="unix", path=tmp_path / "receiver", spool=tmp_path / "spool")
    outputs = Outputs(prepared_outputs([entry], "gw1"))
    outputs.write(alerts(1, 50))
    deadline = time.monotonic() + LONG_S
    while not (found := list((tmp_path / "spool").glob("*.jsonl"))) or outputs.states()[0].spooled < 50:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    found[0].unlink()
    outputs.close(0.1)
    (state,) = outputs.states()
    assert (state.lost, state.spooled, outputs.lost) == (50, 0, 50)
    ((_, told),) = outputs.news()
    assert told == outputs.problems[1]
    assert not outputs.news()
    assert told.endswith("went with segments that others removed or cut short, 50 lines lost in it")


@pytest.mark.parametrize("delivered", [0, 500, 2900])  # before the sensor is started once more
def test_a_spool_that_is_larger_than_it_may_be_by_now_is_delivered_all_the_same(delivered: int, tmp_path: Path) -> None:
    lines = [b'{"n":%d,"x":"%s"}\n' % (number, b"x" * 8000) for number in range(3000)]
    spool = Spool(tmp_path / "spool", 64 << 20)
    assert sum(spool.append(lines[at : at + 300]) for at in range(0, 3000, 300)) == 3000
    spool.close()
    smaller = Spool(tmp_path / "spool", 1 << 20)
    assert "is delivered, and counted, after them" in smaller.problem
    taken: list[bytes] = []
    while len(taken) < delivered:
        more = smaller.take(1 << 17)
        smaller.settle(len(more))
        taken += more
    smaller.close()
    last, own = Spool(tmp_path / "spool", 1 << 20), b'{"n":"own"}\n'
    added = False
    while last.unsent:
        more = last.take(1 << 17)
        last.settle(len(more))
        taken += more
        added = added or last.append([own]) == 1
    last.close()
    assert taken == [*lines, own]


def test_what_is_no_segment_or_may_not_be_read_is_left_alone(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    spool.append(alerts(1, 2))
    spool.close()
    (tmp_path / "spool" / "00000001.jsonl").rename(tmp_path / "spool" / "00000007.jsonl")
    (tmp_path / "spool" / "00000003.jsonl").symlink_to(tmp_path / "elsewhere")
    for _ in range(2):
        spool = Spool(tmp_path / "spool", ROOM)
        assert "00000003.jsonl is no segment and is passed over" in spool.problem
        drained(spool)
        spool.close()
    assert (tmp_path / "spool" / "00000003.jsonl").is_symlink()


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
