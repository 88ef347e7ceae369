"""The HTTP server: waitress, whose single loop reads all connections and whose threads only see whole requests.

Added to it: problem details for requests that it refuses itself, a time limit for requests that arrive byte by byte,
and a graceful shutdown, in which open requests finish.
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

from sensor.api.body import MAX_BODY_BYTES
from sensor.api.problems import PROBLEM_TYPE, problem_document

THREADS: Final = 32
CONNECTIONS: Final = 1024
DESCRIPTORS: Final = 4 * CONNECTIONS  # each connection, and files for large requests and responses
IDLE_TIMEOUT_S: Final = 20  # of a connection, between requests or within one
REQUEST_TIMEOUT_S: Final = 60.0  # from the first byte of a request to its last
MAX_HEADER_BYTES: Final = 32 << 10
RECEIVE_BYTES: Final = 256 << 10  # in one call: a request of a thousand rows has 3 MB
IN_MEMORY_BYTES: Final = 4 << 20  # of a body; a longer one goes into a file
SHUTDOWN_TIMEOUT_S: Final = 10.0  # for open requests
POLL_S: Final = 0.5


@dataclass(slots=True)
class ShutdownFlag:
    """Shutdown flag that the routes share: open requests finish, new ones get 503."""

    requested: bool = False


class _ProblemTask(ErrorTask):  # type: ignore[misc] # waitress is untyped
    """Responds with problem details to a request that the server refuses before the application sees it."""

    def execute(self) -> None:
        error = self.request.error
        # Its only other 5xx is for transfer codings: the client's error, as the 4xx are.
        code = error.code if error.code < 500 or error.code == 500 else HTTPStatus.BAD_REQUEST
        body = problem_document(code, " ".join(str(error.body).split()))
        self.status = f"{int(code)} {HTTPStatus(code).phrase}"
        self.response_headers.extend([("Content-Type", PROBLEM_TYPE), ("Cache-Control", "no-store")])
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc] # waitress is untyped
    """A connection, with the time since which it has been receiving a request."""

    error_task_class = _ProblemTask
    receiving_since: float | None = None  # seconds since 1970, None between requests

    def received(self, data: bytes) -> bool:
        if self.request is None:
            self.receiving_since = time.time()
        consumed: bool = super().received(data)
        if self.request is None:
            self.receiving_since = None
        return consumed


class ApiServer(TcpWSGIServer):  # type: ignore[misc] # waitress is untyped
    """Serves a WSGI application on a listening socket, TCP or Unix."""

    channel_class = _Channel

    def __init__(self, application: Callable[..., Any], listener: socket.socket, shutdown: ShutdownFlag) -> None:
        """shutdown: shared with the application."""
        _raise_descriptor_limit()
        logging.getLogger("waitress").setLevel(logging.ERROR)
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        adjustments = Adjustments(
            threads=THREADS,
            connection_limit=CONNECTIONS,
            channel_timeout=IDLE_TIMEOUT_S,
            cleanup_interval=5,
            recv_bytes=RECEIVE_BYTES,
            inbuf_overflow=IN_MEMORY_BYTES,
            max_request_body_size=MAX_BODY_BYTES + 1,
            max_request_header_size=MAX_HEADER_BYTES,
            asyncore_use_poll=True,
            log_socket_errors=False,
            ident="flowvigil",
        )
        self._shutdown = shutdown
        self._is_tcp = listener.family != socket.AF_UNIX
        super().__init__(
            application,
            {},
            True,
            listener,
            adj=adjustments,
            bind_socket=False,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
        )

    def getsockname(self) -> Any:
        """Host and port of the socket, "unix" and the path for a Unix socket."""
        return super().getsockname() if self._is_tcp else ("unix", self.socket.getsockname())

    def set_socket_options(self, connection: socket.socket) -> None:
        """Set TCP options, on TCP connections only."""
        if self._is_tcp:
            super().set_socket_options(connection)

    def fix_addr(self, address: Any) -> Any:
        """Address of the client; "local" for one of a Unix socket, which has none."""
        return address if self._is_tcp else ("local", None)

    def maintenance(self, now: float) -> None:
        """Close connections that are idle too long, or receive one request for too long. now: seconds since 1970."""
        super().maintenance(now)
        for channel in self.active_channels.values():
            if (
                channel.receiving_since is not None
                and not channel.requests
                and now - channel.receiving_since > REQUEST_TIMEOUT_S
            ):
                channel.will_close = True

    @property
    def stopping(self) -> bool:
        """Whether the shutdown has begun."""
        return self._shutdown.requested

    def stop(self) -> None:
        """Begin the shutdown: `run` returns when open requests are answered. May be called by a signal handler."""
        self._shutdown.requested = True
        self.trigger.pull_trigger()

    def run(self) -> None:
        """Serve until `stop` is called, and then for up to SHUTDOWN_TIMEOUT_S."""
        while not self.stopping:
            wasyncore.loop(timeout=POLL_S, use_poll=True, map=self._map, count=1)
        self.accepting = False
        self.del_channel(self._map)  # no more connections
        self.socket.close()
        deadline = time.monotonic() + SHUTDOWN_TIMEOUT_S
        while time.monotonic() < deadline and any(_is_busy(channel) for channel in self.active_channels.values()):
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
