"""The directory of a spool: numbered segments of lines, and how far they are confirmed.

Everybody who may write there may have put anything there. Names are opened by the held directory, never through a link,
never waiting, and only regular files of a size that this sensor writes are read. What is in a segment's place and is
none is left alone, or renamed where it is in the way; no work at the opening depends on what others have written.

Format spool/2: a line of a segment is the CRC-32 of the line (8 hexadecimal digits), a space and the line. spool/1, of
releases before, has no checksums: its lines begin with a brace. `confirmed` holds the number of a segment, the bytes of
it that are confirmed, and since spool/2 their CRC-32.
"""

import errno
import os
import re
import stat
import time
from binascii import crc32
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from configs.formats import Format
from sensor.files.alone import lock_alone
from sensor.files.held import held
from sensor.files.ownership import MODE, make_owned_directory

LARGEST_BYTES: Final = 16 << 20  # of a segment: three times what this sensor writes into one
LINE_BYTES: Final = 1 << 20  # a line is shorter
LAST_NUMBER: Final = 10**11  # of a segment that is read; those that are begun come behind
CHECKED: Final = 9  # bytes of the checksum and the space before a line
PIECE: Final = 1 << 20
FORMAT: Final = Format("spool", 2, instead="deliver it with the release that wrote it")
MARK, VERSION = "confirmed", "format"  # names of the files that say how far, and which format
_NAME: Final = re.compile(r"([0-9]{8,12})\.jsonl", re.ASCII)
_TAG: Final = re.compile(rb"spool/([0-9]{1,9})\n", re.ASCII)
_MARK: Final = re.compile(rb"([0-9]{1,12}) ([0-9]{1,12})(?: ([0-9a-f]{8}))?\n", re.ASCII)
_SAFE: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class SpoolDirectory:
    """One directory, held open and locked for as long as this process uses it."""

    def __init__(self, path: Path) -> None:
        """Make it if there is none. Raises InUseError where another sensor uses it, OSError.

        Root follows no link of others to it (sensor.files.held).
        """
        self._mark: int | None = None  # the file that is written to
        make_owned_directory(path, None)
        flags = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
        with held(path / MARK, to_create=True) as inside:
            inside.refuse_unalterable()
            self._descriptor = os.open(path if inside.directory is None else ".", flags, dir_fd=inside.directory)
        try:
            lock_alone(self._descriptor)
        except BaseException:
            os.close(self._descriptor)
            raise

    def numbers(self) -> list[int]:
        """Numbers of what has the name of a segment, ascending."""
        with os.scandir(self._descriptor) as entries:
            found = [int(name[1]) for entry in entries if (name := _NAME.fullmatch(entry.name))]
        return sorted({number for number in found if 0 < number <= LAST_NUMBER})

    def take_over(self) -> None:
        """Say which format is written here from now on. Raises OtherVersionError for one that is not read."""
        try:
            descriptor = self._opened(VERSION, 64)
        except OSError:
            known = None
        else:
            known = _TAG.fullmatch(os.pread(descriptor, 64, 0))
            os.close(descriptor)
        version = None if known is None else FORMAT.checked(int(known[1]))
        if version != FORMAT.version:
            with suppress(OSError):  # a disk that is full
                self._replace(VERSION, f"{FORMAT}\n".encode())

    def segment(self, number: int) -> int:
        """Descriptor that reads a segment, for the caller to close. Raises OSError, also of what is none."""
        return self._opened(_name(number), LARGEST_BYTES)

    def size_of(self, number: int, file: tuple[int, int]) -> int:
        """Bytes of a segment, 0 where its name is gone or another file's. file: its device and inode."""
        try:
            found = os.stat(_name(number), dir_fd=self._descriptor, follow_symlinks=False)
        except OSError:
            return 0
        return found.st_size if (found.st_dev, found.st_ino) == file else 0

    def begun(self, number: int) -> int:
        """Descriptor that reads and appends to a new segment. Raises OSError, FileExistsError where there is one."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | _SAFE
        return os.open(_name(number), flags, MODE, dir_fd=self._descriptor)

    def remove(self, number: int) -> None:
        """Remove a segment that was confirmed. Raises OSError."""
        os.unlink(_name(number), dir_fd=self._descriptor)

    def mark(self) -> tuple[int, int] | None:
        """Segment and the confirmed bytes of it; None where that is not known."""
        try:
            descriptor = self._opened(MARK, 64)
        except OSError:
            return None
        try:
            found = _MARK.fullmatch(os.pread(descriptor, 64, 0))
        finally:
            os.close(descriptor)
        if found is None or (found[3] is not None and found[3] != _checksum(b"%s %s" % (found[1], found[2]))):
            return None
        number, offset = int(found[1]), int(found[2])
        return (number, offset) if number <= LAST_NUMBER else None

    def set_mark(self, number: int, offset: int) -> None:
        """Note how far lines are confirmed. Raises OSError: then some are sent twice after a restart.

        In place, as a mark always has the same length; half of one has a wrong checksum.
        """
        text = b"%012d %012d" % (number, offset)
        content = text + b" " + _checksum(text) + b"\n"
        if self._mark is not None and os.fstat(self._mark).st_nlink:
            os.pwrite(self._mark, content, 0)
            return
        self._close_mark()
        self._replace(MARK, content)
        self._mark = os.open(MARK, os.O_WRONLY | _SAFE, dir_fd=self._descriptor)

    def set_aside(self, name: str) -> str:
        """Rename what is in the way; its new name. Raises OSError."""
        aside = f"{name}.set-aside-{time.time_ns()}"
        os.rename(name, aside, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        return aside

    def close(self) -> None:
        """Let others have it."""
        self._close_mark()
        os.close(self._descriptor)

    def _close_mark(self) -> None:
        if self._mark is not None:
            os.close(self._mark)
            self._mark = None

    def _opened(self, name: str, largest: int) -> int:
        descriptor = os.open(name, os.O_RDONLY | _SAFE, dir_fd=self._descriptor)
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_size <= largest:
            return descriptor
        os.close(descriptor)
        raise OSError(errno.EINVAL, "no segment of a spool")

    def _replace(self, name: str, content: bytes) -> None:
        """Have a small file with this content, whatever has its name. Raises OSError."""
        new = f"{name}.new"
        try:
            self._write(new, content)
            self._rename(new, name)
        except OSError:
            with suppress(OSError):
                self._unlink(new)
            raise

    def _write(self, name: str, content: bytes) -> None:
        self._unlink(name)
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, MODE, dir_fd=self._descriptor)
        try:
            if os.write(descriptor, content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)

    def _rename(self, new: str, name: str) -> None:
        try:
            os.replace(new, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except (IsADirectoryError, FileExistsError):
            self.set_aside(name)
            os.replace(new, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def _unlink(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._descriptor)
        except FileNotFoundError:
            return
        except OSError:
            self.set_aside(name)


def checked(line: bytes) -> bytes:
    """A line as it stands in a segment."""
    return b"%08x " % crc32(line) + line


def unchecked(stored: bytes, *, old: bool) -> bytes | None:
    """The line of what stands in a segment, None where it is damaged. old: it is of spool/1."""
    if old:
        return stored if stored.startswith(b"{") and stored.endswith(b"}\n") and b"\0" not in stored else None
    line = stored[CHECKED:]
    return line if stored[:CHECKED] == b"%08x " % crc32(line) else None


def stored_lines(descriptor: int, start: int, end: int, limit: int = PIECE) -> Iterator[bytes]:
    """What stands between two bytes of a segment, each with its newline, about `limit` bytes of it.

    What is longer than a line may be, and what follows it, is left out. Raises OSError.
    """
    content = os.pread(descriptor, min(limit, end - start), start)
    while b"\n" not in content and len(content) < min(LINE_BYTES, end - start):
        more = os.pread(descriptor, min(PIECE, end - start - len(content)), start + len(content))
        if not more:
            return
        content += more
    at = 0
    while (newline := content.find(b"\n", at)) >= 0:
        yield content[at : newline + 1]
        at = newline + 1


def _name(number: int) -> str:
    return f"{number:08d}.jsonl"


def _checksum(text: bytes) -> bytes:
    return b"%08x" % crc32(text)
