"""Processes made by fork: they end with the one that made them, and however one ends, that is known and it is reaped.

What they do is the caller's. Source: fork(2), wait(2), PR_SET_PDEATHSIG(2const), linux/prctl.h.
"""

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from sensor.c_library import call

PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
POLL_S: Final = 0.005  # between two looks at a child that is about to end
FAILED: Final = 1  # exit code of a child whose work raised something
_GROUP_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)
)


class Child:
    """A process that does one piece of work and ends. Systems without fork have none."""

    def __init__(self, work: Callable[[], int], failed: Callable[[str], None] = lambda _reason: None) -> None:
        """Begin the work, whose result is the exit code. No thread may run: a copy would hold its locks for ever.

        failed: told by the child, in a few words, what its work raised. Signals wait until the work has begun: it
        chooses what becomes of them by `settled`.
        """
        parent = os.getpid()
        self._how: str | None = None  # it has ended, None while it runs
        self._stopped_since: float | None = None
        if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:  # as whoever started this process had it
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # else the system tells nobody how a child ended
        with _signals_held():
            self.pid = os.fork()
            if not self.pid:
                _live(work, failed, parent)

    def ended(self, within_s: float = 0.0) -> str | None:
        """How it ended, such as `SIGKILL` or `exit code 1`, by which it is reaped; None while it runs after so long."""
        deadline = time.monotonic() + within_s
        while self._how is None:
            self._look()
            if self._how is not None or time.monotonic() >= deadline:
                break
            time.sleep(POLL_S)
        return self._how

    @property
    def stopped_s(self) -> float:
        """For how long it is known to stand still (SIGSTOP), 0 while it does not."""
        if self._how is None:
            self._look()
        return 0.0 if self._stopped_since is None else max(1e-9, time.monotonic() - self._stopped_since)

    def send(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.ended() is None:
            os.kill(self.pid, number)

    def end(self) -> str:
        """Kill it where it has not ended; how it ended."""
        while True:
            self.send(signal.SIGKILL)
            how = self.ended(1.0)
            if how is not None:
                return how

    def _look(self) -> None:
        """Take what the system has to tell of it."""
        pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
        if not pid:
            return
        if os.WIFSTOPPED(status):
            self._stopped_since = time.monotonic()
        elif os.WIFCONTINUED(status):
            self._stopped_since = None
        else:
            self._stopped_since = None
            self._how = how_it_ended(os.waitstatus_to_exitcode(status))


def how_it_ended(code: int) -> str:
    """An exit code as subprocess gives it, in words: a negative one is a signal's number."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # a real-time signal
        return f"signal {-code}"


def end_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Have the system send this process a signal when the one that made it ends, in whatever way. parent: its id.

    Only Linux knows this; elsewhere nothing is done. Ends the process where the other one has gone already.
    """
    if sys.platform != "linux":
        return
    # Variadic: each argument must fill a register.
    call("prctl", PR_SET_PDEATHSIG, *map(ctypes.c_ulong, (number, 0, 0, 0)))
    if os.getppid() != parent:
        os._exit(FAILED)


def settled() -> None:
    """Let signals through that were held since the fork: the work has chosen what becomes of them."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _GROUP_SIGNALS)


@contextmanager
def _signals_held() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _GROUP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _live(work: Callable[[], int], failed: Callable[[str], None], parent: int) -> None:
    """The whole life of a child: the parent's code must not go on here, whatever happens."""
    code = FAILED
    try:
        end_with_parent(parent)
        code = work()
    except BaseException as error:  # noqa: BLE001  # the parent tells of it
        with suppress(BaseException):
            failed(f"{type(error).__name__}: {error}".rstrip(": "))
            if os.environ.get("FLOWVIGIL_TRACEBACK"):
                traceback.print_exc()
    finally:
        os._exit(code)  # nothing of what was inherited is flushed or closed a second time
