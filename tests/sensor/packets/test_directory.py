"""The directory of kept captures: whole files, a total that holds, and nobody else's files touched."""

import os
import signal
from pathlib import Path

import pytest

from sensor.errors import OutputError
from sensor.packets.directory import PacketDirectory, make_directory

pytestmark = pytest.mark.ux

NAMES = [letter * 26 + ".pcapng" for letter in "ABCDEF"]


def test_the_oldest_files_give_way_to_the_total_and_are_counted(tmp_path: Path) -> None:
    directory = PacketDirectory(tmp_path, 1000)
    for name in NAMES[:4]:
        directory.write(name, bytes(300))
    assert sorted(os.listdir(tmp_path)) == NAMES[1:4]
    assert directory.deleted == 1
    assert [directory.contains(name) for name in NAMES[:2]] == [False, True]
    directory.write(NAMES[1], bytes(500))  # grows: others give way, not itself
    assert sorted(os.listdir(tmp_path)) == [NAMES[1], NAMES[3]]
    assert directory.deleted == 2


def test_files_of_earlier_runs_are_counted_and_are_the_oldest(tmp_path: Path) -> None:
    for age, name in enumerate((NAMES[2], NAMES[0], NAMES[1])):
        (tmp_path / name).write_bytes(bytes(300))
        os.utime(tmp_path / name, (1_000_000 + age, 1_000_000 + age))
    directory = PacketDirectory(tmp_path, 1000)
    directory.begin(NAMES[2])  # the oldest is made anew, so it is the newest
    directory.write(NAMES[2], bytes(300))
    directory.write(NAMES[3], bytes(300))
    assert sorted(os.listdir(tmp_path)) == [NAMES[1], NAMES[2], NAMES[3]]


def test_only_files_named_like_ours_are_counted_or_deleted(tmp_path: Path) -> None:
    others = ["a" * 26 + ".pcapng", "A" * 25 + ".pcapng", "A" * 26 + ".pcap", "evidence.pcapng", "A" * 27 + ".pcapng"]
    for name in others:
        (tmp_path / name).write_bytes(bytes(5000))
    (tmp_path / NAMES[0]).mkdir()
    (tmp_path / NAMES[1]).symlink_to(tmp_path / others[0])
    directory = PacketDirectory(tmp_path, 1000)
    directory.write(NAMES[2], bytes(900))
    assert directory.deleted == 0
    assert sorted(os.listdir(tmp_path)) == sorted([*others, *NAMES[:3]])


def test_what_a_killed_run_left_unfinished_is_removed(tmp_path: Path) -> None:
    (tmp_path / (NAMES[0] + ".unfinished")).write_bytes(b"half")
    PacketDirectory(tmp_path, 1000)
    assert not os.listdir(tmp_path)


def test_a_file_is_replaced_as_a_whole_or_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = PacketDirectory(tmp_path, 10_000)
    directory.write(NAMES[0], b"first")

    def full(_descriptor: int, _content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        directory.write(NAMES[0], b"second, longer")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == [NAMES[0]]
    assert directory.read(NAMES[0]) == b"first"


def test_a_link_where_a_file_is_to_be_made_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    directory = PacketDirectory(tmp_path, 10_000)
    (tmp_path / NAMES[0]).symlink_to(victim)
    directory.write(NAMES[0], b"packets")
    assert victim.read_bytes() == b"mine"
    assert not (tmp_path / NAMES[0]).is_symlink()


def test_a_link_planted_under_the_name_of_an_unfinished_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    directory = PacketDirectory(tmp_path, 10_000)
    (tmp_path / (NAMES[0] + ".unfinished")).symlink_to(victim)
    directory.write(NAMES[0], b"packets")
    assert (victim.read_bytes(), directory.read(NAMES[0])) == (b"mine", b"packets")


def test_a_directory_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"^packets cannot be kept in .*file/below: not a directory, expected "):
        make_directory(tmp_path / "file" / "below")
    with pytest.raises(OutputError, match=r"^packets cannot be kept in .*file: not a directory, expected "):
        PacketDirectory(tmp_path / "file", 1000)


def test_a_directory_is_made_with_what_is_above_it(tmp_path: Path) -> None:
    make_directory(path := tmp_path / "a" / "b")
    assert path.stat().st_mode & 0o777 == 0o750
    make_directory(path)


def test_however_small_files_are_there_are_no_more_than_can_be_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensor.packets.directory.FILES", 2)
    directory = PacketDirectory(tmp_path, 1000)
    names = [letter * 26 + ".pcapng" for letter in "ABCD"]
    for name in names:
        directory.write(name, b"x")
        directory.write(name, b"xy")  # again: no file more
    assert sorted(path.name for path in tmp_path.iterdir()) == names[2:]
    assert directory.deleted == 2
    directory.close()
    assert PacketDirectory(tmp_path, 1000).contains(names[3])


def test_one_sensor_at_a_time_keeps_packets_in_a_directory_and_another_harms_none(tmp_path: Path) -> None:
    directory = PacketDirectory(tmp_path, 1000)
    directory.write(NAMES[0], bytes(900))
    (tmp_path / (NAMES[1] + ".unfinished")).write_bytes(b"what the first one writes now")
    found = sorted(os.listdir(tmp_path))
    with pytest.raises(
        OutputError, match=r"^packets cannot be kept in .*: used by another process of flowvigil, expected a directory"
    ):
        PacketDirectory(tmp_path, 100)
    assert sorted(os.listdir(tmp_path)) == found
    child = os.fork()
    if not child:  # of the sensor, which outlives the directory's use
        signal.pause()
    directory.close()
    again = PacketDirectory(tmp_path, 1000)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert again.contains(NAMES[0])
    again.close()
