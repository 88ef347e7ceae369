"""Bodies of JSON to an HTTP receiver: a POST for each, which counts as delivered once it is answered with 2xx.

No redirection is followed and no proxy is asked: what is secret goes where the settings say, and nowhere else. An
answer may take half a minute, however slowly its bytes drip: who gives up on a slow receiver tells it everything twice.
Source: RFC 9110 (15: status codes; 10.2.3: Retry-After).
"""

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from sensor.errors import ConfigError
from sensor.outputs.batches import AskedToWaitError, BodyRefusedError
from sensor.outputs.transport import CONNECT_S
from sensor.printable import printable
from sensor.version import VERSION

ANSWER_S: Final = 30.0  # from the first byte that is sent to the end of the answer
SHOWN_BYTES: Final = 200  # of an answer that refuses
REFUSED: Final = frozenset({400, 413, 415, 422})  # what will not be taken the next time either
ASKED_TO_WAIT: Final = frozenset({429, 503})
SECRET: Final = "${secret}"  # noqa: S105  where it stands in a url or a header
_URL: Final = re.compile(r"https?://[\x21-\x7e]+\Z")


class WebhookCourier:
    """POST requests to one address, a connection for each."""

    def __init__(
        self, url: str, headers: Mapping[str, str], context: ssl.SSLContext | None, secret: str | None = None
    ) -> None:
        """url: with http or https. context: of TLS, for https. secret: in one of both, and in no message."""
        self._secret = secret or ""
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), parts.port
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"Content-Type": "application/json", "User-Agent": f"flowvigil/{VERSION}", **headers}
        self._context = context

    def reach(self) -> None:
        """Connect, with TLS where it is https, and send nothing. Raises OSError."""
        connection = self._connection()
        try:
            connection.connect()
        finally:
            connection.close()

    def send(self, body: bytes) -> None:
        """Send a body. Raises OSError, BodyRefusedError, AskedToWaitError."""
        connection = self._connection()
        try:
            connection.connect()
            connection.sock.settimeout(ANSWER_S)
            with cut_off_after(ANSWER_S, lambda: connection.sock):
                connection.request("POST", self._target, body, self._headers)
                _look_at(connection.getresponse(), self._secret)
        except http.client.HTTPException as error:
            raise ConnectionError(f"answers no HTTP: {printable(str(error) or type(error).__name__, 80)}") from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_S)
        return http.client.HTTPSConnection(self._host, self._port, timeout=CONNECT_S, context=self._context)


def webhook_address(name: str, url: str, secret: str | None) -> tuple[str, dict[str, str]]:
    """The address and the headers that carry the secret: within the url where that says so, else as a bearer token.

    Raises ConfigError.
    """
    if SECRET in url:
        if secret is None:
            raise ConfigError(f"{name}: its url has {SECRET}, expected secret_file or secret_environment too")
        url, secret = url.replace(SECRET, secret), None
    if not _URL.match(url):
        raise ConfigError(f"{name}: with its secret it is no url, expected no blank in it")
    return url, {} if secret is None else {"Authorization": f"Bearer {secret}"}


@contextmanager
def cut_off_after(seconds: float, connection: Callable[[], socket.socket | None]) -> Iterator[None]:
    """Shut a connection down that takes longer, also byte by byte; who waits for it gets an OSError.

    connection: as it is by then, as TLS on top of one is another.
    """

    def shut_down() -> None:
        found = connection()
        if found is not None:
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _look_at(answer: http.client.HTTPResponse, secret: str) -> None:
    """Raise what an answer means, unless it is 2xx, whatever comes of its body then.

    secret: which an answer may repeat, such as with the path that it knows nothing of.
    """
    if 200 <= answer.status < 300:
        return
    beginning = b""
    with suppress(OSError, http.client.HTTPException):  # the status is said
        beginning = answer.read(SHOWN_BYTES + len(secret))
    said = beginning.decode("utf-8", "replace")
    said = said.replace(secret, SECRET)[:SHOWN_BYTES] if secret else said
    told = printable(said.strip().replace("\n", " "), 80)
    words = f"answers {answer.status} {printable(answer.reason, 40)}{f': {told}' if told else ''}"
    if answer.status in REFUSED:
        raise BodyRefusedError(words)
    asked_s = _asked_s(answer.headers.get("Retry-After", "")) if answer.status in ASKED_TO_WAIT else None
    raise ConnectionError(words) if asked_s is None else AskedToWaitError(words, asked_s)


def _asked_s(asked: str) -> float | None:
    """Seconds to wait by a Retry-After, which has them or a date; None for neither."""
    if re.fullmatch(r"\d{1,6}", asked, re.ASCII):
        return float(asked)
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
