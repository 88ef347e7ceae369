"""Some alerts in one message for people: a subject, plain text, rows of HTML, and templates that place them.

Every value is escaped for where it goes: control characters for text, markup for HTML, and for JSON whatever a string
may not hold. A template is text with ${names} (string.Template); one without a known name stops the start.
"""

import html
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import orjson

from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_of
from sensor.alerts.spread import counted
from sensor.alerts.words import moment, muted_in_words, severity_word, who
from sensor.errors import ConfigError, reason_of
from sensor.files.bounded import read_bounded
from sensor.printable import printable

Kind = Literal["text", "html", "json"]  # what the places of a template are escaped for

NAMES: Final = ("summary", "count", "more", "observer", "first", "last", "text", "alerts")
LONGEST_TEMPLATE: Final = 1 << 16
REASON: Final = 600  # characters of a reason


@dataclass(frozen=True, slots=True)
class Batch:
    """Alerts that one message tells of."""

    lines: tuple[bytes, ...]  # native ones, the most severe first
    alerts: tuple[Alert, ...]  # the same
    more: int  # alerts that it stands for and does not show

    @property
    def summary(self) -> str:
        """Such as `HIGH Password Guessing 192.0.2.10 -> 198.51.100.7:22 (gw1)`, or `3 alerts (gw1), the worst: …`."""
        worst = self.alerts[0]
        told = f"{severity_word(worst.severity).upper()} {worst.title} {who(worst)}"
        count = len(self.alerts) + self.more
        return f"{told} ({self.observer})" if count == 1 else f"{count:,} alerts ({self.observer}), the worst: {told}"

    @property
    def observer(self) -> str:
        """The sensor that speaks."""
        return self.alerts[0].observer.name

    @property
    def text(self) -> str:
        """Three lines for each alert, in plain text."""
        blocks = ["\n".join(_told(alert)) for alert in self.alerts]
        return "\n\n".join([*blocks, *([self.others] if self.more else [])]) + "\n"

    @property
    def rows(self) -> str:
        """A row of a table for each alert, in HTML."""
        return "\n".join(map(_row, self.alerts))

    @property
    def others(self) -> str:
        """What is said of those that are not shown; nothing without any."""
        if not self.more:
            return ""
        return f"{counted(self.more, 'alert')} more, no more severe than these: the sensor's log has them."


def batch_of(lines: Sequence[bytes], shown: int) -> Batch:
    """A batch of native lines, at least one, of which the `shown` most severe are told. Raises ValueError."""
    alerts = [(alert_of(orjson.loads(line)), line) for line in lines]
    alerts.sort(key=lambda found: (-found[0].severity, -found[0].risk, found[0].time_ns))
    told = alerts[:shown]
    return Batch(tuple(line for _, line in told), tuple(alert for alert, _ in told), len(alerts) - len(told))


class BatchTemplate:
    """A template whose places take a batch."""

    def __init__(self, text: str, kind: Kind, place: str) -> None:
        """place: of the template, for messages. Raises ConfigError for names that there are not, and for no JSON."""
        self._template, self._kind = string.Template(text), kind
        unknown = [name for name in self._template.get_identifiers() if name not in NAMES]
        if unknown or not self._template.is_valid():
            found = f"${{{printable(unknown[0], 40)}}}" if unknown else "a $ without a name (write $$ for one)"
            raise ConfigError(f"{place}: found {found}, expected ${{name}} with one of {', '.join(NAMES)}")
        if kind == "json":
            _refuse_no_json(self._template, place)

    def fill(self, batch: Batch) -> str:
        """The text with everything in its place."""
        alerts = batch.alerts
        escape = _ESCAPES[self._kind]
        plain = {
            "summary": batch.summary,
            "count": str(len(alerts) + batch.more),
            "more": str(batch.more),
            "observer": batch.observer,
            "first": moment(min(alert.time_ns for alert in alerts)),
            "last": moment(max(alert.time_ns for alert in alerts)),
            "text": batch.text,
        }
        records = {"text": batch.text, "html": batch.rows, "json": f"[{b','.join(batch.lines).decode()}]"}
        values: Mapping[str, str] = {name: escape(value) for name, value in plain.items()}
        return self._template.substitute({**values, "alerts": records[self._kind]})


def read_template(path: Path, kind: Kind, name: str) -> BatchTemplate:
    """A template in UTF-8. name: of the output. Raises ConfigError."""
    place = f"{name}: {path}"
    try:
        text = read_bounded(path, LONGEST_TEMPLATE).decode()
    except OSError as error:
        raise ConfigError(f"{place}: {reason_of(error)}, expected a template") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{place}: no UTF-8 at byte {error.start:,}, expected a template in it") from error
    return BatchTemplate(text, kind, place)


def _told(alert: Alert) -> list[str]:
    muted = f"{muted_in_words(alert)}; " if alert.muted else ""
    return [
        f"{severity_word(alert.severity).upper():6}  {moment(alert.time_ns)} UTC  {alert.title}  {who(alert)}",
        f"        {muted}{alert.verdict}, risk {alert.risk:g} of 100: {printable(alert.reason, REASON)}",
        f"        {alert.action}, event.id {alert.id}",
    ]


def _row(alert: Alert) -> str:
    cells = (
        severity_word(alert.severity).upper(),
        f"{moment(alert.time_ns)} UTC",
        alert.title,
        who(alert),
        f"{muted_in_words(alert)}; " * bool(alert.muted) + f"{alert.verdict}, risk {alert.risk:g}: {alert.reason}",
        alert.id,
    )
    return "<tr>" + "".join(f"<td>{html.escape(printable(cell, REASON))}</td>" for cell in cells) + "</tr>"


def _in_json(value: str) -> str:
    """As it stands within a JSON string; < > & as character references, which chats take for markup."""
    return orjson.dumps(html.escape(value, quote=False)).decode()[1:-1]


_ESCAPES: Final[Mapping[Kind, Callable[[str], str]]] = {"text": str, "html": html.escape, "json": _in_json}


def _refuse_no_json(template: string.Template, place: str) -> None:
    # Text that stands in no string, and records that stand in one, show now and not with each message.
    trial = template.substitute({**dict.fromkeys(NAMES, "text"), "count": "1", "more": "1", "alerts": '[{"a":1}]'})
    try:
        orjson.loads(trial)
    except orjson.JSONDecodeError as error:
        raise ConfigError(
            f'{place}: no JSON ({error.msg.lower()}, line {error.lineno}), expected it with places such as "${{text}}"'
        ) from error


MAIL_HTML: Final = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>${summary}</title></head>
<body style="font-family: sans-serif">
<p><b>${summary}</b></p>
<table border="1" cellpadding="6" style="border-collapse: collapse">
<tr><th>Severity</th><th>Time</th><th>What</th><th>Who</th><th>Why</th><th>event.id</th></tr>
${alerts}
</table>
<p>Alerts: ${count}, not shown: ${more}. Show one: <code>flowvigil alerts show LOG ID</code></p>
</body></html>
"""
MAIL_TEXT: Final = "${summary}\n\n${text}\nShow one: flowvigil alerts show LOG ID\n"
