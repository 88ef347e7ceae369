"""Receivers of messages on loopback: an HTTP server that answers as it is told, and a mail server that keeps mail."""

import asyncio
import email
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.support.certificates import Identity


class Hooks(HTTPServer):
    """Keeps the bodies and headers of POST requests. answers: (status, headers), the last one for good."""

    def __init__(self, answers: list[tuple[int, dict[str, str]]]) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.answers = answers
        self.taken: list[tuple[str, dict[str, str], bytes]] = []
        self.refused: list[bytes] = []
        self.think_s = 0.0  # before it answers

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, _request: Any, _client: Any) -> None:
        """A client that only looks whether somebody is there."""


class _Hook(BaseHTTPRequestHandler):
    server: Hooks

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.server.think_s)
        status, headers = self.server.answers[0]
        if b"poison" in body:
            status = 422
        elif len(self.server.answers) > 1:
            self.server.answers.pop(0)
        if status < 300:
            self.server.taken.append((self.path, dict(self.headers), body))
        else:
            self.server.refused.append(body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"because\x1b[31m" if status >= 300 else b"")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def hooks(*answers: tuple[int, dict[str, str]]) -> Iterator[Hooks]:
    server = Hooks(list(answers) or [(204, {})])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Postbox:
    """A mail server's handler: what was handed over, and how."""

    def __init__(self, replies: list[str]) -> None:
        self.replies = replies
        self.refuse: Callable[[bytes], str] = lambda _content: ""  # the reply to what it does not take
        self.taken: list[tuple[str, list[str], EmailMessage]] = []
        self.tls: list[bool] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.port = 0
        self.think_s = 0.0  # before it answers that it has a message
        self.unknown: set[str] = set()  # recipients whom it does not take

    async def handle_RCPT(  # noqa: N802  aiosmtpd's
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.unknown:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 taken"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd's
        await asyncio.sleep(self.think_s)
        reply = self.refuse(envelope.content) or (self.replies.pop(0) if self.replies else "250 taken")
        if reply.startswith("250"):
            message = email.message_from_bytes(envelope.content, policy=default)
            assert isinstance(message, EmailMessage)
            self.taken.append((envelope.mail_from, envelope.rcpt_tos, message))
            self.tls.append(session.ssl is not None)
        return reply


@contextmanager
def postbox(
    identity: Identity | None = None, password: bytes = b"", *replies: str, most_bytes: int = 1 << 20
) -> Iterator[Postbox]:
    """identity: with STARTTLS, which is asked for. password: that must be shown where there is one. most_bytes: of a
    message, told in the greeting.
    """
    controllers = pytest.importorskip("aiosmtpd.controller")
    from aiosmtpd.smtp import AuthResult

    box = Postbox(list(replies))

    def login(_server: Any, _session: Any, _envelope: Any, _mechanism: str, told: Any) -> Any:
        box.logins.append((told.login, told.password))
        right = told.password == password
        return AuthResult(success=right, handled=right)  # the server says 535 by itself

    options: dict[str, Any] = {"hostname": "127.0.0.1", "port": 0, "data_size_limit": most_bytes}
    if identity is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity.certificate, identity.key)
        options |= {"tls_context": context, "require_starttls": True}
    if password:
        options |= {"authenticator": login, "auth_required": True, "auth_require_tls": identity is not None}
    controller = controllers.UnthreadedController(box, **options)
    ready = threading.Event()

    def serve() -> None:
        controller.begin()
        box.port = controller.server.sockets[0].getsockname()[1]
        ready.set()
        controller.loop.run_forever()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield box
    finally:
        controller.loop.call_soon_threadsafe(controller.loop.stop)
        thread.join(10)
        controller.end()
