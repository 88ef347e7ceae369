"""Mail to people by SMTP: one message for a batch, as plain text and HTML, through a server of the operator's.

The message says by its headers that a program sent it (RFC 3834), so that no holiday notice comes back. Its
Message-ID is made from its content: what is sent twice after a break can be told apart.
Source: RFC 5321 (replies; 4.5.3.2: how long they may take), 1870 (size), 8314 (TLS at once, port 465), 3207 (STARTTLS).
"""

import hashlib
import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Final, Literal

from sensor.outputs.batches import BodyRefusedError, TakenInPartError
from sensor.outputs.transport import CONNECT_S
from sensor.outputs.webhook import cut_off_after
from sensor.printable import printable

SMTP_S: Final = 20.0  # for the greeting, and for all of a session without a message
MESSAGE_S: Final = 120.0  # for all of one with a message, which some servers look through before they answer
SUBJECT: Final = 160  # characters
TOO_LARGE: Final = 552


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed over."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    context: ssl.SSLContext | None  # of TLS, unless security is none
    user: str | None
    password: str | None


class _Session(smtplib.SMTP):
    """A session whose greeting is cut off too, however slowly it drips: smtplib waits for each byte of it anew."""

    def connect(self, host: str = "", port: int = 0, source_address: Any = None) -> tuple[int, bytes]:
        """Reach the server and take its greeting. Raises OSError, SMTPException."""
        with cut_off_after(SMTP_S, lambda: self.sock):
            return super().connect(host, port, source_address)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """A connection, after which answers may take longer than it did."""
        made: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]  # not in the stubs
        made.settimeout(MESSAGE_S)
        return made


class _TlsSession(_Session, smtplib.SMTP_SSL):
    """The same with TLS from its first byte on."""


class MailCourier:
    """Sessions with one server, one for each message."""

    def __init__(self, server: MailServer, sender: str, recipients: tuple[str, ...]) -> None:
        self._server, self._sender, self._recipients = server, sender, recipients
        self._refused: set[str] = set()  # recipients, of whom it was told
        self._had: bytes | None = None  # Message-ID of what the others have, until it is tried again

    def reach(self) -> None:
        """Connect, with TLS and the password where they are set, and send nothing. Raises OSError."""
        with self._session(SMTP_S):
            pass

    def send(self, body: bytes) -> None:
        """Hand a message over. Raises OSError, BodyRefusedError.

        A recipient who is refused among others is a TakenInPartError once, as nobody else tells of it. The message
        counts as handed over the next time, and is not sent to the others again.
        """
        name = _message_id(body)
        if name == self._had:
            self._had = None
            return
        with self._session(MESSAGE_S) as session:
            try:
                refused = session.sendmail(self._sender, self._recipients, body)
            except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
                words = _words(error)
                raise BodyRefusedError(words) if _is_for_good(error) else ConnectionError(words) from error
        news = [address for address in refused if address not in self._refused]
        if news:
            self._refused.update(news)
            self._had = name
            code, said = refused[news[0]]
            raise TakenInPartError(f"takes no mail for {', '.join(news)}: {code} {_text(said)}; the others have it")

    @contextmanager
    def _session(self, seconds: float) -> Iterator[smtplib.SMTP]:
        server = self._server
        host_name = socket.gethostname()
        try:
            if server.security == "tls":
                session: smtplib.SMTP = _TlsSession(
                    server.host, server.port, host_name, timeout=CONNECT_S, context=server.context
                )
            else:
                session = _Session(server.host, server.port, host_name, timeout=CONNECT_S)
            with cut_off_after(seconds, lambda: session.sock):
                try:
                    if server.security == "starttls":
                        session.starttls(context=server.context)
                    if server.user is not None:
                        session.login(server.user, server.password or "")
                    yield session
                    with suppress(OSError):
                        session.quit()
                finally:
                    session.close()
        except smtplib.SMTPException as error:
            raise ConnectionError(_words(error)) from error


def mail_message(sender: str, recipients: tuple[str, ...], subject: str, text: str, html: str, now: datetime) -> bytes:
    """The message with its headers, at most 78 bytes a line.

    subject: any text, which is made printable and cut; text, html: the same content twice, safe for each. now: in UTC.
    """
    message = EmailMessage(policy=policy.SMTP)
    message["From"], message["To"] = sender, ", ".join(recipients)
    message["Subject"] = printable(subject, SUBJECT)
    message["Date"] = format_datetime(now.astimezone(UTC))
    digest = hashlib.sha256("\0".join((subject, text)).encode("utf-8", "replace")).hexdigest()
    message["Message-ID"] = f"<{digest[:32]}@flowvigil.invalid>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    return message.as_bytes()


def _message_id(body: bytes) -> bytes:
    found = re.search(rb"^Message-ID:.*$", body, re.MULTILINE)
    return b"" if found is None else found[0]


def _is_for_good(error: smtplib.SMTPDataError | smtplib.SMTPSenderRefused) -> bool:
    """Whether it is the message that the server will never take.

    It may say so when it is told of the size, which comes with the sender; other words then are about the sender.
    """
    return error.smtp_code >= 500 if isinstance(error, smtplib.SMTPDataError) else error.smtp_code == TOO_LARGE


def _words(error: smtplib.SMTPException) -> str:
    """What the server said, one line."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, said = next(iter(error.recipients.values()))
        return f"takes no recipient: {code} {_text(said)}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"answers {error.smtp_code} {_text(error.smtp_error)}"
    return printable(" ".join(str(error).lower().split()), 120)


def _text(said: bytes | str) -> str:
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return printable(" ".join(words.split()), 120)
