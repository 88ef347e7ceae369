"""One message a datagram: UDP and a Unix datagram socket.

UDP promises nothing: a datagram that the network or a full receiver drops is lost, and nobody here learns of it, but
for a refusal that comes back from the receiver's machine. A Unix datagram socket makes the sender wait instead.
Source: udp(7), unix(7), RFC 5426.
"""

import errno
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from sensor.outputs.transport import CONNECT_S, LONGEST_PAUSE_S, MessageRefusedError

UDP_BYTES: Final = 65_507  # of a datagram: 65,535 without the headers of IPv4 and UDP
UNIX_OVERHEAD: Final = 32  # unix_dgram_sendmsg(): what is longer than the socket's buffer without it is refused


class DatagramTransport:
    """A connected datagram socket; what the kernel takes counts as delivered."""

    forever = False
    tells_by_writing = False
    acknowledges = False
    missing = 0
    poll_s: float | None = None  # a refusal comes with the next datagram
    longest: float = UDP_BYTES
    longest_pause_s = LONGEST_PAUSE_S

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        """connect: gives a connected socket or raises OSError."""
        self._connect = connect
        self._socket: socket.socket | None = None
        self._left: deque[bytes] = deque()
        self._sent = 0

    def connect(self) -> None:
        """Make the socket. Raises OSError."""
        self.break_off()
        self._socket = self._connect()
        self._socket.setblocking(False)
        if self._socket.family not in (socket.AF_INET, socket.AF_INET6):
            self.longest = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - UNIX_OVERHEAD

    def offer(self, messages: Sequence[bytes]) -> None:
        """Take messages on."""
        self._left.extend(messages)

    def flush(self, wait_s: float) -> None:
        """Send. Raises OSError, also the refusal of an earlier datagram; MessageRefusedError for one too long."""
        if self._socket is None:
            raise ConnectionError("not connected")
        deadline = time.monotonic() + wait_s
        while self._left:
            try:
                self._socket.send(self._left[0])
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                select.select([], [self._socket], [], left)
                continue
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                size = len(self._left.popleft())
                raise MessageRefusedError(f"takes no datagram of {size:,} bytes") from error
            self._left.popleft()
            self._sent += 1

    def idle(self) -> bool:
        """Whether all that was taken on is sent."""
        return not self._left

    def confirmed(self, now_s: float) -> int:  # noqa: ARG002  the contract's
        """Datagrams that the kernel took since the last call."""
        sent, self._sent = self._sent, 0
        return sent

    def finish(self, wait_s: float) -> int:
        """Send the rest."""
        with suppress(OSError):
            self.flush(wait_s)
        sent = self.confirmed(0.0)
        self.break_off()
        return sent

    def break_off(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._left.clear()
        self._sent = 0


def udp_connect(host: str, port: int) -> Callable[[], socket.socket]:
    """A UDP socket that hears the refusals of one receiver."""

    def connect() -> socket.socket:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        return _connected(socket.socket(family, kind, protocol), address)

    return connect


def unix_datagram_connect(path: str) -> Callable[[], socket.socket]:
    """A Unix datagram socket."""
    return lambda: _connected(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), path)


def _connected(connection: socket.socket, address: tuple[object, ...] | str) -> socket.socket:
    try:
        connection.settimeout(CONNECT_S)
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection
