"""What a service tells its manager: sd_notify(3) without libsystemd.

Without NOTIFY_SOCKET in the environment nothing happens. Nothing here raises or waits: a manager that does not listen
must not hold up the capture. Who asks for what, and when, is the caller's business.
"""

import os
import socket
import time
from collections.abc import Callable
from typing import Final

SOCKET, INTERVAL, WATCHED = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
FEEDINGS: Final = 3  # within the time after which the manager gives up: one may come late, one may be lost

_MAIN = os.getpid()  # NotifyAccess=main: forked workers have nothing to say


def notify(*lines: str) -> bool:
    """Tell the manager lines such as READY=1, all in one datagram; whether it was told."""
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
    """Lets the manager know that the sensor still takes its turns; otherwise it starts it anew."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds, never backwards. The environment is read here, once."""
        self._clock = clock
        self._pause_s = _watched_s() / FEEDINGS
        self._due_s = clock()

    def feed(self) -> None:
        """Tell it where it is time to. May be called at every turn."""
        if not self._pause_s:
            return
        now_s = self._clock()
        if now_s >= self._due_s and notify("WATCHDOG=1"):
            self._due_s = now_s + self._pause_s


def _watched_s() -> float:
    """Seconds after which the manager misses us; 0 where it does not watch this process."""
    microseconds = os.environ.get(INTERVAL, "")
    if not _is_number(microseconds) or os.environ.get(WATCHED, str(os.getpid())) != str(os.getpid()):
        return 0.0
    return int(microseconds) / 1e6


def _is_number(text: str) -> bool:
    """Whether text is a plain decimal number of 64 bits at most."""
    return text.isascii() and text.isdigit() and len(text) <= 19
