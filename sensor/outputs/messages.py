"""The outputs of messages by their entry in the settings: which alerts they tell, and how these become one message."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import orjson

from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_of, is_alert
from sensor.alerts.formats import formatter
from sensor.outputs.batch_text import MAIL_HTML, MAIL_TEXT, BatchTemplate, batch_of, read_template
from sensor.outputs.batches import BatchTransport, Compose, Pace
from sensor.outputs.in_flight import Encode
from sensor.outputs.mail import MailCourier, MailServer, mail_message
from sensor.outputs.secret import secret_of
from sensor.outputs.tls import tls_context
from sensor.outputs.webhook import WebhookCourier, webhook_address
from sensor.settings.outputs import BatchEntry, MailEntry, WebhookEntry

Now = Callable[[], datetime]
BELOW_KEPT: Final = 65_536  # alerts, the latest to open, of which it is known that they opened below min_severity
_HTML: Final = frozenset({".html", ".htm"})


def message_transport(entry: WebhookEntry | MailEntry) -> BatchTransport:
    """What carries the messages of an entry; its secret and its template are read. Raises ConfigError."""
    secret = secret_of(entry.name, entry.secret_file, entry.secret_environment)
    pace = Pace(entry.batch_s, entry.per_hour)
    if isinstance(entry, WebhookEntry):
        url, headers = webhook_address(entry.name, entry.url, secret)
        context = tls_context(entry) if url.startswith("https://") else None
        return BatchTransport(WebhookCourier(url, headers, context, secret), webhook_body(entry), pace)
    context = None if entry.security == "none" else tls_context(entry)
    server = MailServer(entry.host, entry.target_port, entry.security, context, entry.user, secret)
    return BatchTransport(MailCourier(server, entry.sender, entry.addresses), mail_body(entry), pace)


def selected(entry: BatchEntry) -> Encode:
    """Picks the lines that an output tells: those of alerts, as severe as it asks; b"" for others.

    A message for people keeps the native line, which becomes words later. Raises ValueError for a foreign line.
    """
    form, choice = formatter(entry.format), _Choice(entry)

    def encode(line: bytes) -> bytes:
        document = orjson.loads(line)
        if not isinstance(document, dict):
            raise ValueError(f"found a line of {type(document).__name__}, expected an object")
        if not is_alert(document) or not choice.tells(alert_of(document)):
            return b""
        return form(document).rstrip(b"\n")

    return encode


def webhook_body(entry: WebhookEntry) -> Compose:
    """Bodies for programs, `{"alerts": […]}` of a few records each, or by the template for people.

    Raises ConfigError for the template.
    """
    if entry.template is None:
        return lambda messages: _records(messages[: entry.batch_alerts])
    template = read_template(entry.template, "json", entry.name)
    return lambda messages: (template.fill(batch_of(messages, entry.batch_alerts)).encode(), len(messages))


def mail_body(entry: MailEntry, now: Now = lambda: datetime.now(UTC)) -> Compose:
    """Mail in text and HTML. The template stands for the HTML where its name ends with .html, else for the text.

    Raises ConfigError for the template.
    """
    text = BatchTemplate(MAIL_TEXT, "text", entry.name)
    html = BatchTemplate(MAIL_HTML, "html", entry.name)
    if entry.template is not None and entry.template.suffix.lower() in _HTML:
        html = read_template(entry.template, "html", entry.name)
    elif entry.template is not None:
        text = read_template(entry.template, "text", entry.name)

    def compose(messages: Sequence[bytes]) -> tuple[bytes, int]:
        batch = batch_of(messages, entry.batch_alerts)
        parts = text.fill(batch), html.fill(batch)
        return mail_message(entry.sender, entry.addresses, f"[flowvigil] {batch.summary}", *parts, now()), len(messages)

    return compose


class _Choice:
    """Which lines of alerts an output tells: that one opens, or that it has become as severe as it asks.

    Such as one that opened as uncertain, or muted by a note that it has gone beyond.
    """

    def __init__(self, entry: BatchEntry) -> None:
        self._least, self._updates = entry.min_severity, entry.updates
        # Of alerts that opened below that: which line told of each, 0 for none yet. A line may be asked for again.
        self._below: OrderedDict[str, int] = OrderedDict()

    def tells(self, alert: Alert) -> bool:
        """Whether to tell this line, the same each time that it comes."""
        opens = alert.action == "opened"
        if alert.severity < self._least:
            if opens and self._below.setdefault(alert.id, 0) == 0 and len(self._below) > BELOW_KEPT:
                self._below.popitem(last=False)
            return False
        if opens or self._updates:
            return True
        if self._below.get(alert.id) not in (0, alert.sequence):
            return False
        self._below[alert.id] = alert.sequence
        return True


def _records(messages: Sequence[bytes]) -> tuple[bytes, int]:
    return b'{"alerts":[' + b",".join(messages) + b"]}", len(messages)
