"""The real command on a terminal of its own, which is the one that controls it: keys, signals, and who reads or not."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.support.command import launched, surroundings

# Of a terminal as xterm has it (terminfo: smcup, rmcup, civis, cnorm).
ALTERNATE, BACK, HIDDEN, SHOWN = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25l", b"\x1b[?25h"
CHANGES: Final = ((ALTERNATE, BACK), (HIDDEN, SHOWN), (b"\x1b[?7l", b"\x1b[?7h"))  # the last: DECAWM
LONG_S: Final = 60.0  # it may have to compile


class Terminal:
    """A pseudoterminal and the process that it controls. reads: whether what is written there is taken at once."""

    def __init__(
        self, arguments: Sequence[str | Path], namespace: str | None, environment: dict[str, str], *, reads: bool
    ) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.shown = bytearray()
        self.reads = reads
        self._ended = False
        self.process = launched(
            arguments, environment=environment, namespace=namespace, stdin=self.slave, stdout=self.slave,
            stderr=subprocess.PIPE, controls=True, start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # nobody has the other end any more
            while not self._ended:
                if not self.reads:
                    time.sleep(0.01)
                elif select.select([self.master], [], [], 0.01)[0]:
                    self.shown += os.read(self.master, 65536)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.master, keys)

    def wait_for(self, words: bytes, seconds: float = LONG_S) -> None:
        """Wait until something was written there."""
        deadline = time.monotonic() + seconds
        while words not in self.shown:
            assert self.process.poll() is None or time.monotonic() < deadline - seconds + 1, self.end()
            assert time.monotonic() < deadline, bytes(self.shown[-3000:])
            time.sleep(0.02)

    def hang_up(self) -> None:
        """Close the terminal, as when its window is closed."""
        self._ended = True
        self._reader.join()  # who reads a file keeps it open
        os.close(self.slave)
        os.close(self.master)
        self.slave = self.master = -1

    def takes_nothing(self) -> bool:
        """Whether who writes to it has to wait: it was stopped, or nobody reads and its buffer is full."""
        return not select.select([], [self.slave], [], 0)[1]

    def resize(self, width: int, height: int) -> None:
        """Give it another size, which its process is told."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def end(self, seconds: float = 20.0) -> tuple[int, str]:
        """Exit code and stderr of the process."""
        assert self.process.stderr is not None
        code = self.process.wait(seconds)
        stderr = self.process.stderr.read().decode()
        assert "Traceback" not in stderr, stderr
        return code, stderr

    def is_as_it_was(self, seconds: float = 20.0) -> bool:
        """Whether screen, cursor and settings are those of before, once nothing more comes."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not select.select([self.master], [], [], 0.1)[0] and self._has_what_it_had():
                return True
            time.sleep(0.02)
        return self._has_what_it_had()

    def _has_what_it_had(self) -> bool:
        text = bytes(self.shown)
        back = all(text.rfind(after) >= text.rfind(before) for before, after in CHANGES)
        return back and termios.tcgetattr(self.slave) == self.before

    def close(self) -> None:
        """Kill what still runs."""
        self.process.kill()
        self.process.wait()
        if self.master >= 0:
            self.hang_up()


@contextmanager
def terminal(
    *arguments: str | Path, namespace: str | None = None, reads: bool = True, **environment: str
) -> Iterator[Terminal]:
    """`flowvigil ARGUMENTS` on a terminal. namespace: the network's that it runs in."""
    around = surroundings(TERM="xterm-256color", **environment)
    around.pop("COLUMNS")
    # Without buffers there are no locks that an ending process could wait for.
    around.pop("PYTHONUNBUFFERED", None)
    made = Terminal(arguments, namespace, around, reads=reads)
    try:
        yield made
    finally:
        made.close()
