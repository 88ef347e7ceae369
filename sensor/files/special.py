"""What has a name and is no file of bytes: pipes, devices, sockets."""

import os
import stat
from pathlib import Path


def is_special(path: Path) -> bool:
    """Whether a path leads to something that is neither a regular file nor a directory."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
