"""A directory replaced as a whole: the old one or the new one at any moment, whatever is killed when."""

import errno
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from models.bundle import FILES
from sensor.files import replacing
from sensor.files.exchange import exchange
from sensor.files.replacing import BusyError, NotAtomicError, ReplacedDirectory
from tests.support.killed import beside, killed_after

KILLS = 30
NAMES = ("manifest.json", "weights.safetensors")


def numbered(number: int) -> Callable[[Path], None]:
    """Writes two files that say the same number."""

    def write(directory: Path) -> None:
        for name in NAMES:
            (directory / name).write_text(str(number))

    return write


def number_in(directory: Path) -> int:
    """The number that both files say, read as a bundle is."""
    first, second, _ = FILES.read_bytes(directory)
    assert first == second
    return int(first)


def places(parent: Path) -> set[str]:
    return {path.name for path in parent.iterdir()}


@pytest.fixture(params=["directory", "link"])
def name(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The name of a directory with number 0, or of a link to one."""
    there = tmp_path / ("site" if request.param == "directory" else "elsewhere")
    there.mkdir()
    numbered(0)(there)
    if request.param == "link":
        (tmp_path / "site").symlink_to("elsewhere")
    return tmp_path / "site"


def test_the_new_one_stands_in_its_place_and_the_previous_one_beside_it(name: Path) -> None:
    directory = ReplacedDirectory(name)
    for number in (1, 2, 3):
        directory.replace(numbered(number))
        assert (number_in(name), number_in(directory.previous)) == (number, number - 1)
    directory.restore()
    assert (number_in(name), number_in(directory.previous)) == (2, 3)
    directory.restore()
    assert (number_in(name), number_in(directory.previous)) == (3, 2)
    assert directory.settle() == []


def test_what_fails_while_it_is_written_changes_nothing(name: Path) -> None:
    def fail(directory: Path) -> None:
        numbered(7)(directory)
        raise OSError(errno.ENOSPC, "no space")

    before = places(name.parent)
    with pytest.raises(OSError, match="no space"):
        ReplacedDirectory(name).replace(fail)
    assert number_in(name) == 0
    assert places(name.parent) == before


def test_nothing_is_restored_where_nothing_was_before(name: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ReplacedDirectory(name).restore()
    assert number_in(name) == 0


def test_its_files_may_be_read_by_whoever_could_before(name: Path) -> None:
    name.chmod(0o750)
    (name / "manifest.json").chmod(0o640)

    def write(directory: Path) -> None:
        numbered(1)(directory)
        (directory / "third").write_text("")

    ReplacedDirectory(name).replace(write)
    modes = {file.name: file.stat().st_mode & 0o777 for file in name.iterdir()}
    assert modes == {"manifest.json": 0o640, "weights.safetensors": 0o644, "third": 0o640}
    assert name.stat().st_mode & 0o777 == 0o750


def test_two_processes_do_not_replace_it_at_once(name: Path) -> None:
    with (
        ReplacedDirectory(name).locked(),
        pytest.raises(BusyError, match="another process"),
        ReplacedDirectory(name).locked(),
    ):
        raise AssertionError
    with ReplacedDirectory(name).locked():
        ReplacedDirectory(name).replace(numbered(1))


def unsupported(one: Path, other: Path) -> None:
    raise OSError(errno.EINVAL, "invalid", str(one), None, str(other))


def test_where_directories_cannot_be_exchanged_only_a_link_is_replaced(
    name: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replacing, "exchange", unsupported)
    directory = ReplacedDirectory(name)
    before = places(name.parent)
    if name.is_symlink():
        for number in (1, 2):
            directory.replace(numbered(number))
        assert (number_in(name), number_in(directory.previous)) == (2, 1)
        directory.restore()
        assert (number_in(name), number_in(directory.previous)) == (1, 2)
        return
    with pytest.raises(NotAtomicError, match="expected a symbolic link"):
        directory.replace(numbered(1))
    assert number_in(name) == 0
    assert places(name.parent) == before


def test_exchanged_names_and_what_cannot_be_exchanged(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_text("b")
    exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").read_text() == "b"
    assert (tmp_path / "b").is_dir()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "c")


def test_killed_at_any_moment_it_is_the_old_one_or_the_new_one_and_the_next_use_leaves_nothing_behind(
    name: Path,
) -> None:
    """While another process reads without a pause."""
    directory, chance, unsettled = ReplacedDirectory(name), random.Random(17), 0
    directory.replace(numbered(1))

    def replace(number: int) -> None:
        with directory.locked():
            if number % 3 == 2:
                directory.restore()
            else:
                directory.replace(numbered(number))

    with beside(lambda _: number_in(name)):
        for _ in range(KILLS):
            killed_after(replace, chance, 0.005)
            number_in(name)
            number_in(directory.previous)
            unsettled += any(place.startswith(".site.new") for place in places(name.parent))
    assert unsettled, "none was killed on the way"
    with directory.locked():
        directory.replace(numbered(5))
    assert number_in(name) == 5
    # Of a link also what it and the previous one lead to, and what it led to at first, which is not ours.
    left = places(name.parent) - {"site", "site.previous", "elsewhere"}
    assert len(left) == (2 if name.is_symlink() else 0), left


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_an_interrupt_at_any_wait_for_the_disk_loses_neither_the_new_one_nor_the_one_before(
    name: Path, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, synchronise = 0, replacing._synchronise_entries

    def interrupted(directory: Path) -> None:
        nonlocal waits
        waits += 1
        if waits == at:
            raise KeyboardInterrupt
        synchronise(directory)

    monkeypatch.setattr(replacing, "_synchronise_entries", interrupted)
    directory = ReplacedDirectory(name)
    with suppress(KeyboardInterrupt):
        directory.replace(numbered(1))
    if number_in(name):
        assert number_in(directory.previous) == 0
    assert not [place for place in places(name.parent) if ".new-" in place]
