"""A directory that one process at a time works in: it is locked as long as its descriptor is open, and the lock ends
with the process, however that ends. Source: flock(2).
"""

import os


class InUseError(OSError):
    """Another process works in the directory."""


def lock_alone(descriptor: int) -> None:
    """Lock an open directory for whoever holds this descriptor and its copies. Raises InUseError.

    Nothing is done on systems and file systems that lock no directories.
    """
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return
    except BlockingIOError:
        raise InUseError(None, "used by another process of flowvigil") from None
    except OSError:
        return


def unlock(descriptor: int) -> None:
    """End the lock and close the descriptor; a child's copy holds it no longer."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except (ImportError, OSError):
        pass
    os.close(descriptor)
