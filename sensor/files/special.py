"""What has a name and is no file of bytes: pipes, devices, sockets."""

import errno
import os
import stat
from pathlib import Path

from sensor.files.held import held


def is_special(path: Path) -> bool:
    """Whether a path leads to something that is neither a regular file nor a directory."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def open_special(path: Path) -> int:
    """Descriptor that writes to a pipe or a device, which it waits for neither now nor later.

    Raises OSError: ENXIO for a pipe without a reader, EINVAL for a file that has taken its place meanwhile.
    """
    with held(path) as place:
        descriptor = place.open(os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "a file has taken its place")
    return descriptor
