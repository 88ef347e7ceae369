"""Which ports the sockets of an attack's processes have, where others of its host use the same service. proc(5)."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_SOCKET: Final = re.compile(r"socket:\[(\d+)\]")


def ports_of(session: int) -> set[int]:
    """Local TCP and UDP ports that processes of a session have now."""
    found: set[int] = set()
    for pid in _processes(session):
        inodes = set(_inodes(pid))
        for name in ("tcp", "udp", "tcp6", "udp6") if inodes else ():
            with suppress(OSError):
                rows = Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii").splitlines()[1:]
                fields = [row.split() for row in rows]
                found |= {int(row[1].rpartition(":")[2], 16) for row in fields if row[9] in inodes}
    return found


def _processes(session: int) -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):
                if os.getsid(int(entry.name)) == session:
                    yield int(entry.name)


def _inodes(pid: int) -> Iterator[str]:
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if (match := _SOCKET.match(os.readlink(entry.path))) is not None:
                    yield match[1]
