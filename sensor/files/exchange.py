"""Two names that get each other's files in one step: whoever opens either finds the one or the other, at any moment.

Linux 3.15 and later: renameat2(2) with RENAME_EXCHANGE, on ext4, xfs, btrfs, tmpfs and others. macOS 10.12 and later:
renamex_np(2) with RENAME_SWAP, on APFS. Other systems and file systems have nothing of the kind, and say so.
"""

import ctypes
import errno
import os
import sys
from pathlib import Path
from typing import Final

from sensor.c_library import call

AT_FDCWD: Final = -100  # paths are from the working directory on
RENAME_EXCHANGE: Final = 2  # linux/fs.h
RENAME_SWAP: Final = 2  # sys/stdio.h of macOS
UNSUPPORTED: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EXDEV})


def exchange(one: Path, other: Path) -> None:
    """Give two names, in directories of one file system, each other's files or directories.

    After a crash of the system both have changed, or neither, once the directories that hold them are synchronised.
    Raises OSError; with an errno of UNSUPPORTED where system or file system cannot do it.
    """
    first, second = ctypes.c_char_p(os.fsencode(one)), ctypes.c_char_p(os.fsencode(other))
    try:
        if sys.platform == "darwin":
            call("renamex_np", first, second, RENAME_SWAP)
        else:
            call("renameat2", AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(one), None, str(other)) from None
