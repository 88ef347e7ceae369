"""The HTTP server: waitress, whose single loop reads all connections and whose threads only see whole requests.

Added to it: bounds on what its connections may send, hold and wait for (sensor.api.connection), room for a new
connection where all are taken, and a graceful shutdown, in which open requests finish.
"""

import logging
import resource
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from sensor.api.connection import Connection, Rules

THREADS: Final = 40  # 8 copies of the model at work, 16 requests that wait for one, 8 streams, and others
CONNECTIONS: Final = 1024
ACCEPTED_AT_ONCE: Final = 64  # new connections before others are heard
DESCRIPTORS: Final = 4 * CONNECTIONS  # each connection, and files of the documentation
IDLE_TIMEOUT_S: Final = 20  # of a connection, between requests or within one
MAX_HEADER_BYTES: Final = 32 << 10
IN_MEMORY: Final = 1 << 40  # of a body or an answer, bytes: all, within the budget
SHUTDOWN_TIMEOUT_S: Final = 10.0  # for open requests
POLL_S: Final = 0.5


@dataclass(slots=True)
class ShutdownFlag:
    """Shutdown flag that the routes share: open requests finish, new ones get 503."""

    requested: bool = False


class ApiServer(TcpWSGIServer):  # type: ignore[misc] # waitress is untyped
    """Serves a WSGI application on a listening socket, TCP or Unix."""

    def __init__(
        self, application: Callable[..., Any], listener: socket.socket, shutdown: ShutdownFlag, rules: Rules
    ) -> None:
        """shutdown: shared with the application. rules: of what connections may send and hold."""
        _raise_descriptor_limit()
        logging.getLogger("waitress").setLevel(logging.ERROR)
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        adjustments = Adjustments(
            threads=THREADS,
            connection_limit=2 * CONNECTIONS,  # waitress then accepts none; here room is made before
            channel_timeout=IDLE_TIMEOUT_S,
            cleanup_interval=1,
            inbuf_overflow=IN_MEMORY,
            outbuf_overflow=IN_MEMORY,
            outbuf_high_watermark=IN_MEMORY,  # beyond which a thread would wait for a client
            max_request_body_size=IN_MEMORY,
            max_request_header_size=MAX_HEADER_BYTES,
            asyncore_use_poll=True,
            log_socket_errors=False,
            ident="flowvigil",
        )
        self._shutdown = shutdown
        self.channel_class = partial(Connection, rules)
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
        """Close connections that are idle too long, or take too long for anything. now: seconds since 1970."""
        super().maintenance(now)
        for connection in self.active_channels.values():
            if connection.overdue(now):
                connection.will_close = True

    def readable(self) -> bool:
        """Whether new connections may come: not where all that there are wait for their answers."""
        return bool(super().readable()) and len(self.active_channels) < CONNECTIONS + ACCEPTED_AT_ONCE

    def handle_accept(self) -> None:
        """Take the new connections that there are, in place of others where all are taken."""
        for _ in range(ACCEPTED_AT_ONCE):
            before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == before:
                break
        if len(self.active_channels) > CONNECTIONS:
            self._make_room()

    def _make_room(self) -> None:
        """Close those without a request for longest, of the address that has most; last those with a body or answer."""
        kept = [one for one in self.active_channels.values() if not one.will_close]
        idle = [one for one in kept if not one.is_answering]
        crowd = Counter(one.addr[0] for one in idle)
        idle.sort(key=lambda one: (-crowd[one.addr[0]], one.in_body or one.is_busy, one.fruitless_since))
        for one in idle[: max(len(kept) - CONNECTIONS, 0)]:
            one.give_way()

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
        while time.monotonic() < deadline and any(one.is_busy for one in self.active_channels.values()):
            wasyncore.loop(timeout=0.05, use_poll=True, map=self._map, count=1)
        self.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._map)


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
