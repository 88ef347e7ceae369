"""The HTTP server: waitress, whose one loop reads all connections and whose threads only see whole requests.

Added to it: problem details for what it refuses itself, a time limit for requests that come byte by byte, and an end
that lets requests under way finish.
"""

import logging
import resource
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask

from sensor.api.body import MOST_BYTES
from sensor.api.problems import PROBLEM_TYPE, problem_document

THREADS: Final = 32
CONNECTIONS: Final = 1024
DESCRIPTORS: Final = 4 * CONNECTIONS  # a connection, and files for what it sends and gets
SILENCE_S: Final = 20  # of a connection between requests or amid one
REQUEST_S: Final = 60.0  # from the first byte of a request to its last
HEADERS_BYTES: Final = 32 << 10
RECEIVED_BYTES: Final = 256 << 10  # at once: a batch of a thousand rows has 3 MB
IN_MEMORY_BYTES: Final = 4 << 20  # of a body; more goes into a file
END_S: Final = 10.0  # for requests under way when the server ends
TURN_S: Final = 0.5


@dataclass(slots=True)
class Life:
    """Of a server. ending: it answers what is under way and takes no more."""

    ending: bool = False


class _ProblemTask(ErrorTask):  # type: ignore[misc] # waitress is untyped
    """What the server refuses before the application sees it."""

    def execute(self) -> None:
        error = self.request.error
        # Its only 5xx is for transfer codings: what the client did, as the others are.
        code = error.code if error.code < 500 or error.code == 500 else HTTPStatus.BAD_REQUEST
        body = problem_document(code, " ".join(str(error.body).split()))
        self.status = f"{int(code)} {HTTPStatus(code).phrase}"
        self.response_headers.extend([("Content-Type", PROBLEM_TYPE), ("Cache-Control", "no-store")])
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc] # waitress is untyped
    """A connection that knows since when its request has been coming."""

    error_task_class = _ProblemTask
    since: float | None = None

    def received(self, data: bytes) -> bool:
        if self.request is None:
            self.since = time.time()
        taken: bool = super().received(data)
        if self.request is None:
            self.since = None
        return taken


class Server(TcpWSGIServer):  # type: ignore[misc] # waitress is untyped
    """Serves an application on a socket that listens."""

    channel_class = _Channel

    def __init__(self, application: Callable[..., Any], listening: socket.socket, life: Life) -> None:
        """application: WSGI. life: shared with the application."""
        _raise_descriptor_limit()
        logging.getLogger("waitress").setLevel(logging.ERROR)
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        adjustments = Adjustments(
            threads=THREADS,
            connection_limit=CONNECTIONS,
            channel_timeout=SILENCE_S,
            cleanup_interval=5,
            recv_bytes=RECEIVED_BYTES,
            inbuf_overflow=IN_MEMORY_BYTES,
            max_request_body_size=MOST_BYTES + 1,
            max_request_header_size=HEADERS_BYTES,
            asyncore_use_poll=True,
            log_socket_errors=False,
            ident="flowvigil",
        )
        self.life = life
        self._is_tcp = listening.family != socket.AF_UNIX
        super().__init__(
            application,
            {},
            True,
            listening,
            adj=adjustments,
            bind_socket=False,
            sockinfo=(listening.family, listening.type, listening.proto, listening.getsockname()),
        )

    def getsockname(self) -> Any:
        """Host and port, both as text."""
        return super().getsockname() if self._is_tcp else ("unix", self.socket.getsockname())

    def set_socket_options(self, connection: socket.socket) -> None:
        """Those of TCP, where it is TCP."""
        if self._is_tcp:
            super().set_socket_options(connection)

    def fix_addr(self, address: Any) -> Any:
        """Of the client; those of a socket file have none."""
        return address if self._is_tcp else ("local", None)

    def maintenance(self, now: float) -> None:
        """Close connections that have been silent too long, or at one request too long."""
        super().maintenance(now)
        for channel in self.active_channels.values():
            if channel.since is not None and not channel.requests and now - channel.since > REQUEST_S:
                channel.will_close = True

    @property
    def stopping(self) -> bool:
        """Whether it is about to end."""
        return self.life.ending

    def stop(self) -> None:
        """End when the requests under way are answered. May be called by a signal handler."""
        self.life.ending = True
        self.trigger.pull_trigger()

    def run(self) -> None:
        """Serve until stopped."""
        while not self.stopping:
            wasyncore.loop(timeout=TURN_S, use_poll=True, map=self._map, count=1)
        self.accepting = False
        self.del_channel(self._map)  # no more connections
        self.socket.close()
        last = time.monotonic() + END_S
        while time.monotonic() < last and any(_is_busy(channel) for channel in self.active_channels.values()):
            wasyncore.loop(timeout=0.05, use_poll=True, map=self._map, count=1)
        self.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._map)


def _is_busy(channel: Any) -> bool:
    return bool(channel.requests or channel.total_outbufs_len)


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
