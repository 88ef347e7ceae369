"""What is found in the directory of a run is taken for what it is, or refused in one line; never for another's."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sensor.errors import ConfigError, OutputError
from sensor.jobs.run_directory import Capture, Identity, RunDirectory

NOW = Identity("1.0", "b" * 64, "5" * 64, {"a.yaml": "f" * 64})
CAPTURE = Capture("net.pcap", 5, 7)


def ended(directory: Path, identity: Identity = NOW) -> Path:
    """A run with one capture that has ended."""
    with RunDirectory(directory).held(identity, resume=False) as run:
        run.make_room([CAPTURE])
        run.part(CAPTURE).write_bytes(b"")
        run.keep_end(CAPTURE, {"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"})
    return directory


def known(directory: Path, capture: Capture = CAPTURE) -> bool:
    """Whether a run that goes on knows how the capture ended."""
    with RunDirectory(directory).held(NOW, resume=True) as run:
        run.make_room([capture])
        return run.end_of(capture) is not None


def test_a_run_goes_on_with_what_has_not_changed(tmp_path: Path) -> None:
    ended(tmp_path)
    assert known(tmp_path)
    assert not known(tmp_path, Capture("net.pcap", 6, 7))
    assert not known(tmp_path, Capture("net.pcap", 5, 8))
    assert not known(tmp_path, Capture("other/net.pcap", 5, 7))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (Identity("0.9", NOW.bundle, NOW.settings, NOW.files), "of another version"),
        (Identity(NOW.version, "c" * 64, NOW.settings, NOW.files), "of another bundle"),
        (Identity(NOW.version, NOW.bundle, "6" * 64, NOW.files), "of other settings"),
        (Identity(NOW.version, NOW.bundle, NOW.settings, {"a.yaml": "7" * 64}), "with another content of a.yaml"),
    ],
)
def test_a_run_of_another_kind_is_refused_by_what_differs(other: Identity, said: str, tmp_path: Path) -> None:
    ended(tmp_path, other)
    with pytest.raises(ConfigError, match=f"found a run {said} in"), RunDirectory(tmp_path).held(NOW, resume=True):
        pass


def test_a_run_in_another_form_is_refused(tmp_path: Path) -> None:
    ended(tmp_path)
    run = tmp_path / "run.json"
    run.write_text(json.dumps(json.loads(run.read_text()) | {"schema": "captures-run/2"}))
    with pytest.raises(ConfigError, match="another form"), RunDirectory(tmp_path).held(NOW, resume=True):
        pass


@pytest.mark.parametrize(
    "damage",
    [lambda path: path.unlink(), lambda path: path.write_bytes(b"{"), lambda path: path.write_bytes(b"[" * 99_999)],
)
def test_ends_of_a_run_that_says_no_more_what_it_was_are_not_taken_over(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    damage(ended(tmp_path) / "run.json")
    with (
        pytest.raises(OutputError, match=r"found what a run left, .* expected"),
        RunDirectory(tmp_path).held(NOW, resume=False),
    ):
        pass
    with pytest.raises(ConfigError, match="found no run"), RunDirectory(tmp_path).held(NOW, resume=True):
        pass


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b'{"result": 3}', b"\xff", b"{" * 99_999, os.urandom(999)])
def test_an_end_that_says_nothing_is_as_none(content: bytes, tmp_path: Path) -> None:
    next(ended(tmp_path).glob("ends/*/*.json")).write_bytes(content)
    assert not known(tmp_path)


def test_an_end_that_was_damaged_is_as_none(tmp_path: Path) -> None:
    ended(tmp_path)
    (end,) = tmp_path.glob("ends/*/*.json")
    content = end.read_text()
    for changed in (content.replace('"result"', '"resulu"'), content.replace('"mtime_ns": 7', '"mtime_ns": 7, "x": 0')):
        assert changed != content
        end.write_text(changed)
        assert not known(tmp_path)
    end.write_text(content)
    assert known(tmp_path)


def test_what_was_removed_is_missing_and_may_be_written_again(tmp_path: Path) -> None:
    shutil.rmtree(ended(tmp_path) / "parts")
    assert not known(tmp_path)
    assert (tmp_path / "parts" / CAPTURE.key[:2]).is_dir()


def test_where_no_directory_can_be_one_line_says_why(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below", tmp_path / ("x" * 300)):
        with pytest.raises(OutputError, match="no run can be kept here"), RunDirectory(path).held(NOW, resume=False):
            pass


def test_what_outputs_have_had_is_known_of_any_number_of_captures(tmp_path: Path) -> None:
    had = {f"{number:032x}": "f" * 64 for number in range(160_000)}
    with RunDirectory(tmp_path).held(NOW, resume=False) as run:
        run.keep_delivered(had, 7)
        assert run.delivered == (had, 7)


def test_a_pipe_in_the_place_of_what_a_run_keeps_holds_nobody_up(tmp_path: Path) -> None:
    ended(tmp_path)
    part = RunDirectory(tmp_path).part(CAPTURE)
    part.unlink()
    os.mkfifo(part)
    assert not known(tmp_path)
    (tmp_path / "run.json").unlink()
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(ConfigError, match="found no run"), RunDirectory(tmp_path).held(NOW, resume=True):
        pass
