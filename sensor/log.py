"""Log messages of the sensor on stderr: text for people, or JSON lines for a log collector.

Field names of the JSON are those of the Elastic Common Schema 9.4. It knows no command and no screen. Importing it
loads nothing: structlog would bring asyncio, which takes longer than the whole of `flowvigil --help`.
"""

import contextlib
import os
import select
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any, Final, TextIO

from sensor.printable import printable

LONGEST: Final = 1000  # characters of a message
PREFIX: Final = "flowvigil: "
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Level(IntEnum):
    """Severity of a message; numbers as in Python's logging."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class LogFormat(StrEnum):
    """Format of the log lines."""

    TEXT = "text"
    JSON = "json"


@dataclass(slots=True)
class _Settings:
    """Log settings of this process."""

    format: LogFormat = LogFormat.TEXT
    level: Level = Level.INFO  # messages below it are dropped
    collected: list[str] | None = None  # receives the messages in place of the stream, unless None
    waits: bool = True  # for whoever reads the stream


_settings = _Settings()


def set_format(log_format: LogFormat) -> None:
    """Set the format of all further messages."""
    _settings.format = log_format


def set_level(level: Level) -> None:
    """Set the lowest severity that is still written."""
    _settings.level = level


def wait_for_nobody() -> None:
    """Drop what the reader of the stream has no room for from now on: a capture must not stand still for messages."""
    _settings.waits = False


def is_json() -> bool:
    """Whether the log lines are JSON."""
    return _settings.format is LogFormat.JSON


def debug(message: str) -> None:
    """Log what only helps to find a fault."""
    write(sys.stderr, Level.DEBUG, message)


def info(message: str) -> None:
    """Log an ordinary event."""
    write(sys.stderr, Level.INFO, message)


def progress(message: str) -> None:
    """Log the progress of something that a person waits for: as text without the program's name."""
    write(sys.stderr, Level.INFO, message, prefix="")


def warning(message: str) -> None:
    """Log what is not as it should be, though the work goes on."""
    write(sys.stderr, Level.WARNING, message)


def error(message: str, detail: Sequence[str] = (), exit_code: int | None = None) -> None:
    """Log why the program stops. detail: lines below the message, with their layout."""
    extra = {"detail": [printable(line, LONGEST) for line in detail]} if detail else {}
    write(sys.stderr, Level.ERROR, message, detail=detail, exit_code=exit_code, extra=extra)


def write(
    stream: TextIO,
    level: Level,
    message: str,
    *,
    prefix: str = PREFIX,
    detail: Sequence[str] = (),
    exit_code: int | None = None,
    extra: dict[str, Any] | None = None,
) -> None:
    """Write one message to a stream, unless it is closed or full.

    prefix: before the text. extra: fields of the JSON under `flowvigil`.
    """
    if level < _settings.level:
        return
    line = printable(" ".join(message.split()), LONGEST)
    if _settings.collected is not None:
        _settings.collected.append(line)
        return
    if is_json():
        text = _json(level, line, exit_code, extra or {})
    else:
        text = "\n".join((prefix + line, *(printable(each, LONGEST) for each in detail))) + "\n"
    with contextlib.suppress(OSError, ValueError):  # closed or full: nobody reads it
        if _settings.waits or _has_room(stream):
            stream.write(text)
            stream.flush()


def _has_room(stream: TextIO) -> bool:
    """Whether a message can be written without waiting: a pipe that is ready takes PIPE_BUF bytes (pipe(7))."""
    return os.name != "posix" or bool(select.select([], [stream], [], 0)[1])


@contextlib.contextmanager
def collected() -> Iterator[list[str]]:
    """Collect the messages in a list instead of writing them, for a caller that reports them in its own way."""
    before, messages = _settings.collected, list[str]()
    _settings.collected = messages
    try:
        yield messages
    finally:
        _settings.collected = before


def _json(level: Level, message: str, exit_code: int | None, extra: dict[str, Any]) -> str:
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
    if extra:
        document["flowvigil"] = extra
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE).decode()
