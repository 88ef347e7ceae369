"""A line as a syslog message: RFC 5424, with octet counting (RFC 6587, section 3.4.1; RFC 5425) on a stream.

APP-NAME is flowvigil, MSGID the kind of record (alert, stats, sensor), the structured data empty and MSG the line as
it is: plain JSON, or CEF. JSON carries nested fields, which structured data cannot; there is no `@cee:` before it
because parsers of JSON take it without and some only without (rsyslog's mmjsonparse with cookie=""). No byte order mark
either: MSG is UTF-8 all the same, which RFC 5424 allows as MSG-ANY. It knows no socket.
"""

import os
import re
from collections.abc import Callable
from typing import Any, Final

import orjson

LIMIT_BYTES: Final = 8192  # a message with its header: rsyslog's default limit, the lowest of those we know
APP_NAME: Final = "flowvigil"
_NOT_IN_HEADER: Final = re.compile(r"[^\x21-\x7e]")
_MICROSECONDS: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z\Z")
# event.severity at least this -> RFC 5424 severity: what an analyst is woken for comes as critical at most, because
# emergency and alert reach every terminal of a machine in many set-ups.
SEVERITIES: Final = ((80, 2), (60, 3), (40, 4), (1, 5))
INFORMATIONAL: Final = 6

Formatter = Callable[[dict[str, Any]], bytes]


def syslog_message(document: dict[str, Any], form: Formatter, facility: int) -> bytes:
    """The message for a native document, at most LIMIT_BYTES; empty where the format has no line for it.

    A document that would be longer is told with shorter lists, the longest halved until it fits, and says so under
    flowvigil.shortened (in the native format). Raises ValueError where nothing is left to halve, and for a document
    that the sensor did not write.
    """
    _refuse_foreign(document)
    head = _header(document, facility)
    line = form(document).rstrip(b"\n")
    while len(head) + len(line) > LIMIT_BYTES:
        document = _shortened(document)
        line = form(document).rstrip(b"\n")
    return head + line if line else b""


def counted(message: bytes) -> bytes:
    """A frame of a stream: the message after its length."""
    return b"%d %b" % (len(message), message)


def severity_of(document: dict[str, Any]) -> int:
    """RFC 5424 severity: 2 critical, 3 error, 4 warning, 5 notice; 6 for what the sensor tells of itself."""
    event = document.get("event", {})
    severity = event.get("severity")
    if event.get("kind") != "alert" or not isinstance(severity, int | float):
        return INFORMATIONAL
    return next((level for least, level in SEVERITIES if severity >= least), INFORMATIONAL)


def _refuse_foreign(document: object) -> None:
    """Raise ValueError where it has not the parts that a header is made from."""
    if not isinstance(document, dict):
        raise ValueError(f"found a line of {type(document).__name__}, expected an object")
    for name in ("event", "observer", "flowvigil"):
        if not isinstance(document.get(name, {}), dict):
            raise ValueError(f"{name} is {document[name]!r:.40}, expected an object")


def _header(document: dict[str, Any], facility: int) -> bytes:
    moment = str(document.get("@timestamp", ""))
    time = moment if _MICROSECONDS.match(moment) else "-"
    host = _NOT_IN_HEADER.sub("_", str(document.get("observer", {}).get("name", "")))[:255] or "-"
    dataset = str(document.get("event", {}).get("dataset", ""))
    kind = _NOT_IN_HEADER.sub("_", dataset.removeprefix("flowvigil."))[:32] or "-"
    priority = facility * 8 + severity_of(document)
    return f"<{priority}>1 {time} {host} {APP_NAME} {os.getpid()} {kind} - ".encode()


def _shortened(document: dict[str, Any]) -> dict[str, Any]:
    """A copy whose longest list has half of its items."""
    copy: dict[str, Any] = orjson.loads(orjson.dumps(document))
    longest = max(_lists(copy), key=lambda found: len(orjson.dumps(found)), default=[])
    if not longest:
        raise ValueError(f"found a document of {len(orjson.dumps(document)):,} bytes without lists to shorten")
    del longest[len(longest) // 2 :]
    copy.setdefault("flowvigil", {})["shortened"] = True
    return copy


def _lists(value: object) -> list[list[Any]]:
    """All lists with items, also inside others."""
    if isinstance(value, dict):
        return [found for inner in value.values() for found in _lists(inner)]
    if isinstance(value, list) and value:
        return [value, *(found for inner in value for found in _lists(inner))]
    return []
