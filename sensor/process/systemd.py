"""Notifications of a service to its manager: sd_notify(3) without libsystemd.

Without NOTIFY_SOCKET in the environment nothing is sent. Nothing here raises or blocks: a manager that does not read
must not hold up the capture. What is notified, and when, is the caller's decision.
"""

import os
import socket
import time
from collections.abc import Callable
from typing import Final

SOCKET, INTERVAL, WATCHED = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
FEEDINGS: Final = 3  # within the time after which the manager gives up: one may come late, one may be lost

_MAIN = os.getpid()  # NotifyAccess=main: the manager ignores forked workers


def notify(*lines: str) -> bool:
    """Send assignments such as READY=1 to the manager in one datagram; returns whether they were sent."""
    name = os.environ.get(SOCKET, "")
    if not name.startswith(("/", "@")) or os.getpid() != _MAIN:
        return False
    address = "\0" + name[1:] if name[0] == "@" else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.setblocking(False)
            manager.sendto("\n".join(lines).encode(errors="replace"), address)
    except OSError:  # gone, full or forbidden: the sensor's work goes on
        return False
    return True


class Watchdog:
    """Keep-alive notifications to the manager's watchdog, which restarts a sensor whose loop stands still."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the environment. clock: seconds, monotonic."""
        self._clock = clock
        self._pause_s = _watched_s() / FEEDINGS
        self._due_s = clock()

    def feed(self) -> None:
        """Send a keep-alive when one is due; cheap enough to be called at every turn."""
        if not self._pause_s:
            return
        now_s = self._clock()
        if now_s >= self._due_s and notify("WATCHDOG=1"):
            self._due_s = now_s + self._pause_s


def _watched_s() -> float:
    """Timeout of the manager's watchdog in seconds; 0 where it does not watch this process."""
    microseconds = os.environ.get(INTERVAL, "")
    if not _is_number(microseconds) or os.environ.get(WATCHED, str(os.getpid())) != str(os.getpid()):
        return 0.0
    return int(microseconds) / 1e6


def _is_number(text: str) -> bool:
    """Whether text is a decimal number of 19 digits at most, as 64 bits hold."""
    return text.isascii() and text.isdigit() and len(text) <= 19
