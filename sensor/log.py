"""What the sensor says of its own work, on stderr: words for people, or JSON lines for a collector.

Field names of the JSON are those of the Elastic Common Schema 9.4. It knows no command and no screen. Importing it
loads nothing: structlog would bring asyncio, which takes longer than the whole of `flowvigil --help`.
"""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any, Final, TextIO

from sensor.printable import printable

LONGEST: Final = 1000  # characters of a message
PREFIX: Final = "flowvigil: "
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Level(IntEnum):
    """How much a line matters."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class LogFormat(StrEnum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


@dataclass(slots=True)
class _Settings:
    """Of the process. heard: takes messages that are collected instead of written."""

    form: LogFormat = LogFormat.TEXT
    least: Level = Level.INFO
    heard: list[str] | None = field(default=None)


_settings = _Settings()


def set_form(form: LogFormat) -> None:
    """How lines are written from now on."""
    _settings.form = form


def set_least(level: Level) -> None:
    """What matters less is not written from now on."""
    _settings.least = level


def is_json() -> bool:
    """Whether lines are JSON."""
    return _settings.form is LogFormat.JSON


def debug(message: str) -> None:
    """Say what only somebody who looks for a fault wants to know."""
    write(sys.stderr, Level.DEBUG, message)


def info(message: str) -> None:
    """Say what goes on."""
    write(sys.stderr, Level.INFO, message)


def progress(message: str) -> None:
    """The same while a person waits for it: text stands without the program's name."""
    write(sys.stderr, Level.INFO, message, prefix="")


def warning(message: str) -> None:
    """Say what is not as it should be, though the work goes on."""
    write(sys.stderr, Level.WARNING, message)


def error(message: str, detail: Sequence[str] = (), exit_code: int | None = None) -> None:
    """Say why it stops. detail: lines below the message as they are laid out."""
    own = {"detail": [printable(line, LONGEST) for line in detail]} if detail else {}
    write(sys.stderr, Level.ERROR, message, detail=detail, exit_code=exit_code, own=own)


def write(
    stream: TextIO,
    level: Level,
    message: str,
    *,
    prefix: str = PREFIX,
    detail: Sequence[str] = (),
    exit_code: int | None = None,
    own: dict[str, Any] | None = None,
) -> None:
    """Write one message to a stream. own: what the JSON has under `flowvigil`. A stream that takes none is let be."""
    if level < _settings.least:
        return
    said = printable(" ".join(message.split()), LONGEST)
    if _settings.heard is not None:
        _settings.heard.append(said)
        return
    if is_json():
        text = _json(level, said, exit_code, own or {})
    else:
        text = "\n".join((prefix + said, *(printable(line, LONGEST) for line in detail))) + "\n"
    with contextlib.suppress(OSError, ValueError):  # closed or full: there is nobody to tell
        stream.write(text)
        stream.flush()


@contextlib.contextmanager
def collected() -> Iterator[list[str]]:
    """Messages as a list instead of on stderr, for whoever tells them in another way."""
    before, heard = _settings.heard, list[str]()
    _settings.heard = heard
    try:
        yield heard
    finally:
        _settings.heard = before


def _json(level: Level, message: str, exit_code: int | None, own: dict[str, Any]) -> str:
    import orjson

    moment = _EPOCH + timedelta(microseconds=time.time_ns() // 1000)
    document: dict[str, Any] = {
        "@timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "ecs": {"version": "9.4.0"},
        "event": {"kind": "event", "dataset": "flowvigil.log"},
        "log": {"level": level.name.lower()},
        "message": message,
    }
    if exit_code is not None:
        document["process"] = {"exit_code": exit_code}
    if own:
        document["flowvigil"] = own
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE).decode()
