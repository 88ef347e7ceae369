"""What is known of a run over many captures, on disk, so that a run that was cut short can go on.

`run.json` says what the run is of; `ends/AB/KEY.json` how each capture ended, `parts/AB/KEY.jsonl` the lines that it
gave, `delivered.json` what the outputs have had. Each is there whole or not at all. KEY is made of the capture's name,
AB are its first two letters: each file that is written costs a look at its directory, so none may grow large.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sensor.errors import ConfigError, OutputError, reason_of
from sensor.files.alone import InUseError, lock_alone, unlock
from sensor.files.bounded import read_bounded
from sensor.files.digest import sha256_of
from sensor.files.held import held
from sensor.files.ownership import make_owned_directory
from sensor.files.special import is_special
from sensor.files.unfinished import whole_file
from sensor.printable import printable

SCHEMA: Final = "captures-run/3"  # read by the version that wrote it
ALERTS: Final = "alerts.jsonl"  # all lines, in the order of the captures, at the end of a run
RUN, DELIVERED = "run.json", "delivered.json"
LEFT: Final = ("parts", "ends", DELIVERED, ALERTS)  # beside it, in the order in which they come
MOST_BYTES: Final = 1 << 24  # of a file that says how a capture ended
MOST_DELIVERED_BYTES: Final = 1 << 28  # of the one that says what the outputs have had, some 110 for each capture


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture as it is stored."""

    name: str  # as given, or below a directory that was
    size: int | None  # bytes; None of what is no regular file
    mtime_ns: int = 0
    tag: str = ""  # of an object, which changes when it does

    @property
    def key(self) -> str:
        """What its files are called by."""
        return hashlib.sha256(os.fsencode(self.name)).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Identity:
    """What must be the same for a run to go on."""

    version: str
    bundle: str  # SHA-256 of its manifest, which names all else of it
    settings: str  # SHA-256
    files: Mapping[str, str]  # SHA-256 of each that the settings name, by path


class RunDirectory:
    """The directory of one run, which no other process uses meanwhile."""

    def __init__(self, path: Path) -> None:
        """path: made where there is none."""
        self.path = path

    @contextmanager
    def held(self, identity: Identity, *, resume: bool) -> Iterator["RunDirectory"]:
        """Begin a run here, or go on with one.

        Raises OutputError where there is one already that is not to go on, where another process is at work, or where
        nothing can be written; ConfigError where what is to go on was of another bundle, settings, files or version.
        """
        try:
            make_owned_directory(self.path, None, 0o777)
            with held(self.path / RUN, to_create=True) as inside:
                place = self.path if inside.directory is None else "."
                descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC, dir_fd=inside.directory)
        except OSError as error:
            raise self._refused(error) from error
        try:
            lock_alone(descriptor)
        except InUseError as error:
            os.close(descriptor)
            raise self._refused(error) from error
        try:
            self._settle(identity, resume=resume)
            yield self
        finally:
            unlock(descriptor)

    def make_room(self, captures: Iterable[Capture]) -> None:
        """Make the directories for files of captures. Raises OutputError."""
        letters = {capture.key[:2] for capture in captures}
        for directory in (Path(kind, two) for kind in ("parts", "ends") for two in sorted(letters)):
            with self.errors_told(directory):
                make_owned_directory(self.path / directory, None, 0o777)

    def part(self, capture: Capture) -> Path:
        """Where a capture's lines are."""
        return self.path / "parts" / capture.key[:2] / f"{capture.key}.jsonl"

    def end_of(self, capture: Capture) -> dict[str, Any] | None:
        """How a capture ended, None where that is not known, or it has changed since, or its lines are gone."""
        end = _read(self.path / _end(capture))
        if end is None or end.pop("digest", None) != _digest(end):
            return None
        stored = {"size": capture.size, "mtime_ns": capture.mtime_ns, "tag": capture.tag}
        if any(end.get(name) != value for name, value in stored.items()) or not self._has(capture, end["result"]):
            return None
        return dict(end["result"])

    def discard(self, capture: Capture) -> None:
        """Do without a capture's lines, which nobody will read again."""
        with held(self.part(capture), to_create=True) as place:
            place.unlink(missing_ok=True)

    def keep_end(self, capture: Capture, result: dict[str, Any]) -> None:
        """Note how a capture ended, whose lines are there by now. Raises OutputError."""
        stored = {"name": capture.name, "size": capture.size, "mtime_ns": capture.mtime_ns, "tag": capture.tag}
        end = stored | {"result": result}
        self._write(_end(capture), end | {"digest": _digest(end)})

    @property
    def delivered(self) -> tuple[dict[str, str], int]:
        """What the outputs have had: SHA-256 of a capture's lines by its key, and the number of the last line."""
        found = _read(self.path / DELIVERED, MOST_DELIVERED_BYTES) or {}
        had, last = found.get("captures"), found.get("sequence")
        return (had, last) if isinstance(had, dict) and isinstance(last, int) else ({}, 0)

    def keep_delivered(self, had: Mapping[str, str], sequence: int) -> None:
        """Note what the outputs have had. Raises OutputError."""
        self._write(Path(DELIVERED), {"captures": dict(had), "sequence": sequence})

    def _settle(self, identity: Identity, *, resume: bool) -> None:
        before = _read(self.path / RUN)
        now = {
            "schema": SCHEMA,
            "version": identity.version,
            "bundle": identity.bundle,
            "settings": identity.settings,
            "files": dict(identity.files),
        }
        if before is None:
            if resume:
                raise ConfigError(f"--resume: found no run in {self._shown}, expected one that was begun with --run")
            if left := next((name for name in LEFT if os.path.lexists(self.path / name)), None):
                raise OutputError(
                    f"{self._shown}: found what a run left, {left}, without the {RUN} that says what it was; "
                    "expected an empty directory"
                )
            self._write(Path(RUN), now)
            return
        if not resume:
            raise OutputError(f"{self._shown}: found a run, expected an empty directory, or --resume to go on with it")
        others = {"schema": "another form", "version": "another version", "bundle": "another bundle"}
        for name, value in now.items():
            if before.get(name) != value:
                what = f"of {others.get(name, 'other settings')}" if name != "files" else _other_file(before, identity)
                raise ConfigError(
                    f"--resume: found a run {what} in {self._shown}, expected the same as now, or another directory"
                )

    def _has(self, capture: Capture, result: dict[str, Any]) -> bool:
        part = self.part(capture)
        try:
            return not is_special(part) and sha256_of(part) == result.get("sha256")
        except OSError:
            return False

    @contextmanager
    def errors_told(self, name: str | Path) -> Iterator[None]:
        """While a file of it is written: raise OutputError for its errors."""
        try:
            yield
        except OSError as error:
            shown = printable(str(self.path / name), 200)
            raise OutputError(f"{shown}: cannot be written ({reason_of(error)})") from error

    def _write(self, name: Path, what: dict[str, Any]) -> None:
        with self.errors_told(name), whole_file(self.path / name) as file:
            file.write(json.dumps(what, indent=1).encode() + b"\n")

    def _refused(self, error: OSError) -> OutputError:
        return OutputError(f"{self._shown}: no run can be kept here ({reason_of(error)})")

    @property
    def _shown(self) -> str:
        return printable(str(self.path), 200)


def _other_file(before: Mapping[str, Any], identity: Identity) -> str:
    """What a run was made with, where a file was another then. before: what it says of itself."""
    had = found if isinstance(found := before.get("files"), dict) else {}
    path = next((path for path, sha256 in identity.files.items() if had.get(path) != sha256), None)
    return "with other files" if path is None else f"with another content of {printable(path, 200)}"


def _digest(end: Mapping[str, Any]) -> str:
    """SHA-256 of how a capture ended, by which what is damaged is no end."""
    return hashlib.sha256(json.dumps(end, sort_keys=True).encode()).hexdigest()


def _end(capture: Capture) -> Path:
    """Where it stands how a capture ended, below the run's directory."""
    return Path("ends", capture.key[:2], f"{capture.key}.json")


def _read(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Any] | None:
    """What a file says, None where it is not there or says nothing that can be read."""
    with suppress(OSError, ValueError, RecursionError):
        if isinstance(found := json.loads(read_bounded(path, most_bytes)), dict):
            return found
    return None
