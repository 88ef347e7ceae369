"""Messages over a byte stream: TCP, TLS over TCP, and a Unix stream socket.

It does not know what a message is: framing came before. Source: socket(7), tcp(7), unix(7), RFC 8446 (close_notify),
RFC 5425.
"""

import array
import select
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from sensor.outputs.transport import ANY_LENGTH, CONNECT_S, LONGEST_PAUSE_S
from sensor.outputs.window import Window

SEND_BYTES: Final = 1 << 18  # our kernel's share of what may be lost is bounded by this
STALLED_S: Final = 60.0  # that a receiver may take or acknowledge nothing before the connection counts as dead

Connect = Callable[[], socket.socket]


class StreamTransport:
    """A connection that is made anew as often as it breaks."""

    forever = False
    tells_by_writing = False
    acknowledges = False
    missing = 0
    poll_s: float | None = 0.2
    longest = ANY_LENGTH
    longest_pause_s = LONGEST_PAUSE_S

    def __init__(self, connect: Connect) -> None:
        """connect: gives a connected socket or raises OSError."""
        self._connect = connect
        self._socket: socket.socket | None = None
        self._left = memoryview(b"")
        self._ends: deque[int] = deque()  # bytes of each message taken on and not wholly given to the kernel
        self._into = 0  # bytes of the first of them that are
        self._moved_s = 0.0
        self._broken = False
        self._window = Window()

    def connect(self) -> None:
        """Reach the receiver. Raises OSError."""
        self.break_off()
        self._socket = self._connect()
        self._socket.setblocking(False)
        self._moved_s = time.monotonic()

    def offer(self, messages: Sequence[bytes]) -> None:
        """Take messages on."""
        self._left = memoryview(b"".join(messages))
        self._ends.extend(map(len, messages))
        self._moved_s = time.monotonic()

    def flush(self, wait_s: float) -> None:
        """Send, and notice a receiver that has gone. Raises OSError."""
        try:
            self._send(wait_s)
        except OSError:
            self._broken = True  # the kernel does not tell any more what was not read
            raise

    def _send(self, wait_s: float) -> None:
        self._notice_end()
        deadline = time.monotonic() + wait_s
        while self._left:
            taken = self._send_some()
            now = time.monotonic()
            if taken:
                self._left = self._left[taken:]
                self._moved_s = now
                self._count(taken, now)
            elif now - self._moved_s > STALLED_S:
                raise TimeoutError(f"takes nothing for {STALLED_S:.0f} s")
            elif now >= deadline:
                return
            else:
                select.select([], [self._open()], [], min(deadline - now, 0.1))

    def idle(self) -> bool:
        """Whether all that was taken on is with the kernel."""
        return not self._left

    def confirmed(self, now_s: float) -> int:
        """Messages that a break of the connection cannot lose any more."""
        return 0 if self._broken else self._window.safe(now_s, _unacknowledged(self._socket))

    def finish(self, wait_s: float) -> int:
        """Say that no more will come and wait for the receiver to close too: then it has read everything."""
        deadline = time.monotonic() + wait_s
        try:
            self.flush(wait_s)
            if self._left:
                return 0
            return self._window.all_read() if self._closed_by_both(deadline) else self.confirmed(time.monotonic())
        except OSError:
            return 0
        finally:
            # What lies in a Unix socket can be read when we are gone.
            is_far = self._socket is not None and self._socket.family != socket.AF_UNIX
            self.missing = self._window.lacking(_unacknowledged(self._socket)) if is_far else 0
            self.break_off()

    def break_off(self) -> None:
        """Drop the connection and what it did not send."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._left, self._into, self._broken = memoryview(b""), 0, False
        self._ends.clear()
        self._window.clear()

    def _open(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionError("not connected")
        return self._socket

    def _send_some(self) -> int:
        try:
            return self._open().send(self._left[:65536])
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0

    def _count(self, taken: int, now_s: float) -> None:
        self._into += taken
        while self._ends and self._into >= self._ends[0]:
            size = self._ends.popleft()
            self._into -= size
            self._window.sent(size, now_s)

    def _notice_end(self) -> None:
        """Raise ConnectionResetError where the receiver has closed, before anything is sent to nobody."""
        try:
            if not self._open().recv(4096):
                raise ConnectionResetError("closed by the receiver")
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return

    def _closed_by_both(self, deadline_s: float) -> bool:
        """Half-close and read to the end. A reset, with which a receiver throws away what it has not read, raises."""
        connection = self._open()
        if isinstance(connection, ssl.SSLSocket):
            _say_goodbye(connection)
        connection.shutdown(socket.SHUT_WR)
        while (left := deadline_s - time.monotonic()) > 0:
            readable, _, _ = select.select([connection], [], [], left)
            try:
                if readable and not connection.recv(4096):
                    return True
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
        return False


def _unacknowledged(connection: socket.socket | None) -> int:
    """Bytes given to the kernel that the receiver's has not acknowledged, of a Unix socket that nobody has read.

    0 where the system does not tell. Over TLS those of the records. Source: SIOCOUTQ of tcp(7), which is TIOCOUTQ.
    """
    if connection is None or sys.platform != "linux":
        return 0
    import fcntl
    import termios

    count = array.array("i", [0])
    fcntl.ioctl(connection, termios.TIOCOUTQ, count)
    return count[0]


def _say_goodbye(connection: ssl.SSLSocket) -> None:
    """Send close_notify without waiting for the other's."""
    try:
        connection.unwrap()
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLError, OSError):
        return


def tcp_connect(host: str, port: int, context: ssl.SSLContext | None = None) -> Connect:
    """Connects to a host by TCP. context: with TLS, the certificate held to the host's name."""

    def connect() -> socket.socket:
        connection = socket.create_connection((host, port), CONNECT_S)
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # else a cut network is noticed after a quarter of an hour
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(STALLED_S * 1000))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
            if context is None:
                return connection
            return context.wrap_socket(connection, server_hostname=host)
        except BaseException:
            connection.close()
            raise

    return connect


def unix_connect(path: str) -> Connect:
    """Connects to a Unix stream socket."""

    def connect() -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_S)
            connection.connect(path)
        except BaseException:
            connection.close()
            raise
        return connection

    return connect
