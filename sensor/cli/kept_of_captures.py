"""What independent captures leave beside their lines: packets of alerts and flow logs, of each whole or not at all.

Packets of a capture are in a directory of its own below `keep_packets.directory`, made under another name and renamed
once all are there. Flow logs of all lie in one directory, in files whose names say by their run whose they are.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensor.cli.build import make_flow_directory, make_packet_directory, refuse_packet_directory
from sensor.errors import OutputError, reason_of
from sensor.files.alone import InUseError, lock_alone, unlock
from sensor.files.held import held
from sensor.files.ownership import make_owned_directory
from sensor.jobs.run_directory import Capture
from sensor.printable import printable

if TYPE_CHECKING:
    from sensor.settings.config import Config

UNFINISHED: Final = "-unfinished"
_ANY_NAME: Final = "x"  # in a directory that is to be held
_LETTERS_OF_NAME: Final = 16
_LETTERS_OF_KEY: Final = 12
_RUN_LETTERS: Final = 16  # of a flow log's file name
_OF_CAPTURE: Final = re.compile(rf"([A-Za-z0-9-]+-)?[0-9a-f]{{{_LETTERS_OF_KEY}}}")  # see directory_name
_UNFINISHED: Final = re.compile(rf"\.{_OF_CAPTURE.pattern}{UNFINISHED}")


def directory_name(capture: Capture) -> str:
    """What the directory of a capture's packets is called: its file's name as far as that is harmless, and its key."""
    letters = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in Path(capture.name).name)
    return f"{letters[:_LETTERS_OF_NAME].strip('-')}-{capture.key[:_LETTERS_OF_KEY]}".lstrip("-")


class KeptOfCaptures:
    """The directories of one run over captures, within the limits of the settings over all of them together."""

    def __init__(self, config: "Config", captures: Sequence[Capture]) -> None:
        self._config = config
        self._captures = captures
        self._packets = config.keep_packets.directory
        self._flows = config.flow_log.directory
        self._places = {capture.key: place for place, capture in enumerate(captures)}
        self._files: dict[int, dict[str, int]] = {}  # bytes of files of packets, by the place of their capture
        self._bytes = 0
        self.deleted = 0  # files that gave way to the limit
        self._oldest = 0  # captures before this place have no files any more

    @contextmanager
    def held(self) -> Iterator["KeptOfCaptures"]:
        """While nobody else keeps packets there. Raises OutputError for a directory that cannot be used."""
        refuse_packet_directory(self._config, [capture.name for capture in self._captures])
        self._refuse_kept()
        make_packet_directory(self._config)
        make_flow_directory(self._config)
        if self._packets is None:
            yield self
            return
        try:
            descriptor = os.open(self._packets, os.O_RDONLY | os.O_CLOEXEC)
            try:
                lock_alone(descriptor)
            except InUseError:
                os.close(descriptor)
                raise
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._remove_leftovers()
            yield self
        finally:
            unlock(descriptor)

    def task(self, capture: Capture) -> dict[str, str]:
        """What whoever reads a capture is told of it."""
        told: dict[str, str] = {}
        if self._packets is not None:
            told["packets"] = str(self._packets / directory_name(capture))
        if self._flows is not None:
            told["flow_log_run"] = capture.key[:_RUN_LETTERS]
        return told

    def has(self, capture: Capture, result: dict[str, Any]) -> bool:
        """Whether what an earlier run kept of a capture is still there, as far as the limits let it; it counts then.

        Not once captures of this run have ended. Raises OutputError.
        """
        try:
            return self._has_packets(capture, result) and self._has_flows(capture, result)
        except OSError as error:
            raise self._unusable(error) from error

    def ended(self, capture: Capture, result: dict[str, Any] | None) -> None:
        """Count what a capture left, and delete the files of the first captures beyond the limit.

        result: None where it was set aside, of which nothing stays. Raises OutputError.
        """
        try:
            if result is None:
                self._remove(capture)
            elif self._packets is not None:
                self._add(self._places[capture.key], _files_in(self._packets / directory_name(capture)))
        except OSError as error:
            raise self._unusable(error) from error

    def _remove_leftovers(self) -> None:
        """Remove what killed runs left of captures, which this one may not have."""
        assert self._packets is not None  # noqa: S101  # who asks
        with suppress(OSError), held(self._packets / _ANY_NAME, to_create=True) as inside:
            with inside.entries() as entries:
                left = [entry.name for entry in entries if _UNFINISHED.fullmatch(entry.name)]
            for name in left:
                inside.beside(name).remove_tree()

    def _refuse_kept(self) -> None:
        """Raise OutputError where packets that an earlier run kept there are to be read as captures."""
        if self._packets is None:
            return
        directory = Path(os.path.realpath(self._packets))
        for capture in self._captures:
            place = Path(os.path.realpath(capture.name)).parent
            if place.parent == directory and _OF_CAPTURE.fullmatch(place.name):
                raise OutputError(
                    f"packets cannot be kept in {self._packets}: found {printable(capture.name, 200)} there, which is "
                    "to be read, expected another directory"
                )

    def _has_packets(self, capture: Capture, result: dict[str, Any]) -> bool:
        if self._packets is None or not result.get("packet_files", 0):
            return True
        if files := self._packet_files[capture.key]:
            self._add(self._places[capture.key], files)
            return True
        own: int = result["account"]["kept"]["bytes"]
        return self._packet_bytes + own > self._config.keep_packets.directory_bytes  # it would be the first to go

    def _has_flows(self, capture: Capture, result: dict[str, Any]) -> bool:
        if self._flows is None or not result.get("flow_files", 0) or capture.key[:_RUN_LETTERS] in self._logs:
            return True
        own: int = result["account"]["logged"]["bytes"]
        return sum(self._logs.values()) + own > self._config.flow_log.directory_bytes

    @cached_property
    def _packet_files(self) -> dict[str, dict[str, int]]:
        """Bytes of the files of packets that earlier runs left, by key of their capture and name."""
        assert self._packets is not None  # noqa: S101  # who asks
        return {capture.key: _files_in(self._packets / directory_name(capture)) for capture in self._captures}

    @cached_property
    def _packet_bytes(self) -> int:
        return sum(sum(files.values()) for files in self._packet_files.values())

    @cached_property
    def _logs(self) -> Counter[str]:
        """Bytes of the flow logs that are there, by whose they are."""
        from sensor.flow_log.files import log_name

        assert self._flows is not None  # noqa: S101  # who asks
        found: Counter[str] = Counter()
        with os.scandir(self._flows) as entries:
            for entry in entries:
                if (name := log_name(entry.name)) is not None:
                    with suppress(FileNotFoundError):  # another run deletes, too
                        found[name.run] += entry.stat(follow_symlinks=False).st_size
        return found

    def _add(self, place: int, files: dict[str, int]) -> None:
        self._files[place] = files
        self._bytes += sum(files.values())
        self._oldest = min(self._oldest, place)
        while self._bytes > self._config.keep_packets.directory_bytes and self._oldest < len(self._captures):
            left = self._files.get(self._oldest)
            if not left:
                self._oldest += 1
                continue
            name = next(iter(left))
            assert self._packets is not None  # noqa: S101  # there are files in it
            directory = self._packets / directory_name(self._captures[self._oldest])
            with held(directory / name, to_create=True) as oldest:
                oldest.unlink(missing_ok=True)
            self._bytes -= left.pop(name)
            self.deleted += 1

    def _remove(self, capture: Capture) -> None:
        if self._packets is not None:
            with held(unfinished(self._packets / directory_name(capture)), to_create=True) as place:
                place.remove_tree()
        if self._flows is not None:
            remove_logs(self._flows, capture.key[:_RUN_LETTERS])

    def _unusable(self, error: OSError) -> OutputError:
        what = (
            f"packets cannot be kept in {self._packets}" if self._packets else f"flows cannot be kept in {self._flows}"
        )
        return OutputError(f"{what}: {reason_of(error)}, expected another directory")


def unfinished(directory: Path) -> Path:
    """What a directory of packets is called while they come."""
    return directory.with_name(f".{directory.name}{UNFINISHED}")


@contextmanager
def whole_directory(directory: Path) -> Iterator[Path]:
    """A directory that gets its name at the end, in place of what stood there. Raises OSError."""
    making = unfinished(directory)
    with held(making, to_create=True) as place:
        place.remove_tree()
        place.beside(directory.name).remove_tree()
    make_owned_directory(making, None)
    yield making
    with held(making, to_create=True) as place:
        if any(making.iterdir()):
            place.rename(directory.name)
        else:
            place.remove_tree()


def remove_logs(directory: Path, run: str) -> None:
    """Remove the files of a flow log that are of a run. Raises OSError."""
    from sensor.flow_log.files import log_name

    with held(directory / _ANY_NAME, to_create=True) as inside:
        with inside.entries() as entries:
            names = [entry.name for entry in entries if (name := log_name(entry.name)) is not None and name.run == run]
        for name_of_file in names:
            inside.beside(name_of_file).unlink(missing_ok=True)


def _files_in(directory: Path) -> dict[str, int]:
    """Bytes of the files of a directory, the oldest first; none where there is no such directory."""
    found = []
    with (
        suppress(FileNotFoundError),
        held(directory / _ANY_NAME, to_create=True) as inside,
        inside.entries() as entries,
    ):
        found = [(entry.stat(follow_symlinks=False), entry.name) for entry in entries]
    return {name: status.st_size for status, name in sorted(found, key=lambda one: (one[0].st_mtime_ns, one[1]))}
