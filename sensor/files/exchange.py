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

AT_FDCWD: Final = -100  # paths are from the working directory on
RENAME_EXCHANGE: Final = 2  # linux/fs.h
RENAME_SWAP: Final = 2  # sys/stdio.h of macOS
UNSUPPORTED: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EXDEV})


def exchange(one: Path, other: Path) -> None:
    """Give two names, in directories of one file system, each other's files or directories.

    After a crash of the system both have changed, or neither, once the directories that hold them are synchronised.
    Raises OSError; with an errno of UNSUPPORTED where system or file system cannot do it.
    """
    library = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    name = {"linux": "renameat2", "darwin": "renamex_np"}.get(sys.platform, "")
    call = getattr(library, name, None) if name else None
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(one), None, str(other))
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin":
        result = call(ctypes.c_char_p(first), ctypes.c_char_p(second), ctypes.c_uint(RENAME_SWAP))
    else:
        here = ctypes.c_int(AT_FDCWD)
        result = call(here, ctypes.c_char_p(first), here, ctypes.c_char_p(second), ctypes.c_uint(RENAME_EXCHANGE))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(one), None, str(other))
