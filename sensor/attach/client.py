"""The side of whoever looks: connects to a sensor and tells what comes as messages, until it ends or they leave.

It knows a socket and no screen. A sensor is not trusted more than a packet: lines are bounded, and one that is not
understood is counted and passed over.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from sensor.alerts.json_lines import LineSplitter
from sensor.alerts.reading import NOT_JSON, TOO_LONG, ReadErrors, UnreadableLineError, leave_out_several
from sensor.attach.protocol import SCHEMA, End, Hello, Message, OtherProtocolError, Refused, message_of
from sensor.errors import CaptureError, reason_of
from sensor.version import VERSION

HELLO_S: Final = 5.0
QUIET_S: Final = 5.0  # twice a second the sensor tells something
_PIECE: Final = 1 << 16


class Attachment:
    """A connection to a sensor; stopped as a run is (sensor.cli.signals.Stoppable). Use as a context manager.

    hello: who speaks. stopping: asked to leave. ended: what the sensor said at its end, None while it runs or where it
    has gone without a word. errors: lines left out. silent: called when nothing has come for QUIET_S, once.
    """

    def __init__(self, path: Path, *, hello_s: float = HELLO_S, quiet_s: float = QUIET_S) -> None:
        """Connect. Raises CaptureError: nobody listens, not permitted, or nobody who speaks this protocol."""
        self._path = path
        self._splitter = LineSplitter()
        self._waiting: list[bytes | None] = []  # lines that came with the hello
        self._read = 0  # lines
        self._quiet_s = quiet_s
        self.stopping = False
        self.ended: End | None = None
        self.errors = ReadErrors()
        self.silent: Callable[[], None] = lambda: None
        self._socket = _connected(path, hello_s)
        try:
            self.hello = self._greeted(hello_s)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> "Attachment":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def stop(self) -> None:
        """Leave. From a signal handler too."""
        self.stopping = True
        self._shut()

    def messages(self) -> Iterator[Message]:
        """What the sensor tells, until it ends, goes, or `stop` is called."""
        self._socket.settimeout(self._quiet_s)
        told = False
        for line in self._waiting:
            yield from self._understood(line)
        while not self.stopping and self.ended is None:
            try:
                piece = self._received()
            except TimeoutError:
                if not told:
                    self.silent()
                told = True
                continue
            if not piece:
                return
            told = False
            for line in self._splitter.lines(piece):
                yield from self._understood(line)

    def leave_out(self, error: UnreadableLineError) -> None:
        """Count the latest line among the errors."""
        self.errors.leave_out(error, f"{self._path}:{self._read}")

    def _understood(self, line: bytes | None) -> Iterator[Message]:
        before, self._read = self._read, self._read + (1 if line is None else line.count(b"\n"))
        if line is not None and not line.strip():
            return
        if line is not None and self._read > before + 1:
            leave_out_several(line, before, str(self._path), self.errors)
            return
        try:
            if line is None:
                raise UnreadableLineError(TOO_LONG)
            message = message_of(line)
        except UnreadableLineError as error:
            self.leave_out(error)
            return
        if isinstance(message, End):
            self.ended = message
        yield message

    def _greeted(self, within_s: float) -> Hello:
        """The first line. A sensor says hello at once."""
        deadline = time.monotonic() + within_s
        while not self._waiting:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                piece = self._received()
            except TimeoutError:
                raise self._no_sensor("nothing") from None
            self._waiting += self._splitter.lines(piece)
            if not piece or self._splitter.overlong or None in self._waiting[:1]:
                raise self._no_sensor("an end" if not piece else "something else")
        self._read += 1
        try:
            message = message_of(self._waiting.pop(0) or b"")
        except OtherProtocolError as error:
            raise CaptureError(
                f"{self._path}: found a sensor that speaks {error.detail}, expected {SCHEMA}: "
                f"this is flowvigil {VERSION}, attach with the sensor's own release"
            ) from None
        except UnreadableLineError as error:
            raise self._no_sensor("no JSON" if error.reason == NOT_JSON else str(error)) from None
        if isinstance(message, Refused):
            raise CaptureError(f"{self._path}: the sensor refused: {message.reason}")
        if not isinstance(message, Hello):
            raise self._no_sensor("no hello")
        return message

    def _no_sensor(self, found: str) -> CaptureError:
        return CaptureError(f"{self._path}: found {found}, expected the hello of a running sensor")

    def _received(self) -> bytes:
        """Raises TimeoutError; nothing where the sensor has gone."""
        try:
            return self._socket.recv(_PIECE)
        except TimeoutError:
            raise
        except OSError:  # reset: the sensor was killed, or we are leaving
            return b""

    def _shut(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # gone already
            return


def _connected(path: Path, within_s: float) -> socket.socket:
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            connection.settimeout(within_s)
            connection.connect(str(path))
        except OSError as error:
            raise CaptureError(f"{path}: {_reason(error)}, expected the socket of a running sensor") from error
        except ValueError as error:  # a zero byte
            raise CaptureError(f"{path}: {error}, expected the socket of a running sensor") from error
        stack.pop_all()
        return connection


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, FileNotFoundError):
        return "there is no such file (attach.socket in the sensor's settings)"
    if isinstance(error, PermissionError):
        return "not permitted: it is for the sensor's user and a group (attach.group)"
    if isinstance(error, TimeoutError | BlockingIOError):
        return "nobody answers"
    return reason_of(error)
