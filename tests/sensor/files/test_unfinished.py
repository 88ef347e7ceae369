"""What is written is whole or not there, and what killed processes left goes with the next use."""

import errno
import fcntl
import os
import stat
import tempfile
import time
from pathlib import Path
from random import Random

import pytest

from sensor.errors import OutputError
from sensor.files.held import Held
from sensor.files.ownership import make_owned_directory
from sensor.files.unfinished import PUBLIC, create_locked, kept_in, refuse_unwritable, scratch_directory, whole_file
from tests.support.killed import kill, killed_after, on_and_on


def write(path: Path, content: bytes, mode: int = 0o640) -> None:
    with whole_file(path, mode) as stream:
        stream.write(content)


def names(directory: Path) -> list[str]:
    return sorted(found.name for found in directory.iterdir())


def test_a_file_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text("old")
    write(tmp_path / "x.html", b"new", PUBLIC)
    assert (tmp_path / "x.html").read_bytes() == b"new"
    assert names(tmp_path) == ["x.html"]
    (tmp_path / "plain").touch()
    assert stat.S_IMODE((tmp_path / "x.html").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_what_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    with pytest.raises(TypeError), whole_file(tmp_path / "x") as stream:
        stream.writelines([b"half", None])  # type: ignore[list-item]
    assert (tmp_path / "x").read_text() == "old"
    assert names(tmp_path) == ["x"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "x").symlink_to(tmp_path / "there" / "y")
    write(tmp_path / "x", b"new")
    assert (tmp_path / "x").is_symlink()
    assert (tmp_path / "there" / "y").read_bytes() == b"new"


def test_directories_pipes_and_places_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is a directory"):
        refuse_unwritable(tmp_path)
    with pytest.raises(OSError, match="is no regular file"):
        refuse_unwritable(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError):
        refuse_unwritable(tmp_path / "absent" / "x")
    refuse_unwritable(tmp_path / "x")
    assert names(tmp_path) == ["pipe"]


def test_killed_writers_leave_the_old_file_or_the_new_one_and_the_next_removes_the_rest(tmp_path: Path) -> None:
    path, chance = tmp_path / "x", Random(18)
    write(path, b"0" * 300_000)
    for _ in range(40):
        killed_after(lambda number: write(path, bytes([number % 256]) * 300_000), chance, 0.004)
        content = path.read_bytes()
        assert len(content) == 300_000
        assert len(set(content)) == 1
        assert len(names(tmp_path)) <= 2, "a killed writer's leftover outlived the next one"
    write(path, b"")
    assert names(tmp_path) == ["x"]


def test_a_trial_leaves_nothing_and_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    left = f".name.{'0' * 16}.part"
    (tmp_path / left).touch()
    (tmp_path / "other").touch()
    refuse_unwritable(tmp_path / "name")
    assert names(tmp_path) == ["other"]


def test_a_directory_that_another_run_has_made_meanwhile_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Held.make_directory

    def too_late(self: Held, mode: int, uid: int = -1, gid: int = -1) -> None:
        made(self, mode)
        made(self, mode, uid, gid)

    monkeypatch.setattr(Held, "make_directory", too_late)
    make_owned_directory(tmp_path / "above" / "log", None)
    assert names(tmp_path / "above") == ["log"]


def test_only_what_nobody_writes_and_has_an_unfinished_name_is_removed(tmp_path: Path) -> None:
    stay = [".x.abc.part.gz", ".x.part", "x.1.part", ".y.12.part", ".x.A B.part"]
    for name in (*stay, ".x.4711.part", ".x.k3_dfa21.part"):  # the last two as earlier versions named them
        (tmp_path / name).touch()
    (tmp_path / ".x.dir.part").mkdir()
    (tmp_path / ".x.link.part").symlink_to(tmp_path / "x.1.part")
    held = create_locked(tmp_path / ".x.0123456789abcdef.part")
    write(tmp_path / "x", b"")
    assert names(tmp_path) == sorted([*stay, ".x.dir.part", ".x.link.part", ".x.0123456789abcdef.part", "x"])
    os.close(held)


def test_writers_side_by_side_do_not_remove_each_others_files(tmp_path: Path) -> None:
    path = tmp_path / "x"
    others = [on_and_on(lambda number: write(path, b"%d" % number)) for _ in range(3)]
    for number in range(300):
        write(path, b"%d" % number)  # fails where another has removed the unfinished file
    for process, done in others:
        assert os.read(done, 1), "it has failed"
        kill(process, done)


def test_a_killed_process_s_directory_for_work_goes_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def work(number: int) -> None:
        with scratch_directory() as directory:
            (directory / "packets").write_bytes(b"traffic")
            time.sleep(60 if number == 1 else 0)

    process, done = on_and_on(work)
    assert os.read(done, 1)
    deadline = time.monotonic() + 20
    while not any(tmp_path.glob("*/packets")):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    with scratch_directory() as own:
        assert len(names(tmp_path)) == 2, "a living process's directory was removed"
    kill(process, done)
    (left,) = tmp_path.iterdir()
    with scratch_directory() as own:
        assert own != left
        assert names(tmp_path) == [own.name]
    assert names(tmp_path) == []


def test_a_name_as_long_as_it_may_be_is_written_whatever_its_letters(tmp_path: Path) -> None:
    name = "名" * 84 + "xyz"  # 255 bytes
    write(tmp_path / name, b"new")
    assert names(tmp_path) == [name]


def test_where_the_file_system_knows_no_locks_files_and_work_are_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = f".x.{'0' * 16}.part"
    (tmp_path / left).touch()  # somebody may be writing it
    write(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
    with scratch_directory() as directory:
        (directory / "packets").write_bytes(b"traffic")
    assert names(tmp_path) == [left, "x"]


def test_what_cannot_be_kept_in_a_directory_for_work_is_told_with_where_that_is(tmp_path: Path) -> None:
    told = f"{tmp_path}: nothing can be kept there meanwhile: no space left; TMPDIR"
    with pytest.raises(OutputError, match=told), kept_in(tmp_path / "work"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
