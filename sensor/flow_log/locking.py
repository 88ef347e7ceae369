"""Locks of files that are being written: they end with the process, however it ends."""

try:
    import fcntl
except ImportError:  # Windows, where a file that somebody writes cannot be removed

    def lock(descriptor: int) -> None:
        """Do nothing."""

else:

    def lock(descriptor: int) -> None:
        """Lock an open file for this process alone. Raises BlockingIOError where another one has it."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
