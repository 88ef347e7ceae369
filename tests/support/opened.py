"""Which files of a directory are opened or made, and when (inotify(7))."""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IN_OPEN, IN_MOVED_TO, IN_CREATE, IN_ISDIR = 0x20, 0x80, 0x100, 0x40000000
EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name


class Opened:
    """Names of files below a directory that anybody has opened, made or renamed to since they were last asked for."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def names(self) -> set[str]:
        """Those since the last time."""
        found = set()
        try:
            while events := os.read(self._descriptor, 1 << 16):
                at = 0
                while at < len(events):
                    _, mask, _, length = EVENT.unpack_from(events, at)
                    at += EVENT.size + length
                    if not mask & IN_ISDIR:
                        found.add(events[at - length : at].rstrip(b"\0").decode())
        except BlockingIOError:
            pass
        return found


@contextmanager
def opened_below(directory: Path) -> Iterator[Opened]:
    """Look at a directory and all that are in it now."""
    system = ctypes.CDLL(None, use_errno=True)
    descriptor = system.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert descriptor >= 0, ctypes.get_errno()
    try:
        for path in (directory, *(path for path in directory.rglob("*") if path.is_dir())):
            added = system.inotify_add_watch(descriptor, os.fsencode(path), IN_OPEN | IN_CREATE | IN_MOVED_TO)
            assert added >= 0, ctypes.get_errno()
        yield Opened(descriptor)
    finally:
        os.close(descriptor)
