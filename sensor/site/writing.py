"""Writes what an operator found about an alert into `site.yaml`: a rule where it was false, a mark where it was true.

Text is added and nothing else is touched, so comments and order stay. What would be written is read again first: only a
file that says all it said before, and the new entry, takes the place of the old one, at once and as a whole. Writers
wait for each other at a lock on the directory.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from configs.faults import expected_of
from configs.yaml_nodes import compose, is_null, read_regular
from sensor.alerts.alert import Alert, service_in_words
from sensor.errors import ConfigError, OutputError, reason_of
from sensor.files.unfinished import whole_file
from sensor.settings.yaml_errors import config_errors
from sensor.site.claims import UNUSUAL
from sensor.site.declared import MarkEntry, RuleEntry
from sensor.site.file import EXPECTED, LIMIT_BYTES, notes_of_text, read_notes, values_of_text

if sys.platform != "win32":
    import fcntl

Entry = dict[str, str]
RULES, MARKS = "rules", "marks"
LONGEST_WAIT_S: Final = 5.0  # for another writer, each of which takes some milliseconds
MODE: Final = 0o640  # of a new file
# What makes two entries say the same, whoever says why.
_SAYS: Final = {RULES: ("source", "destination", "service", "technique", "until"), MARKS: ("alert", "finding")}


def false_entry(alert: Alert, why: str, until: str | None, now: str) -> tuple[str, Entry]:
    """Section and entry that say that an alert was false: the narrowest rule that holds for it and its like.

    A mark where neither side of it is one host; then ConfigError for until, a date or time. now: as RFC 3339.
    """
    entry: Entry = {}
    if not alert.many_sources:
        entry["source"] = alert.source.ip
    if alert.spread.targets <= 1 and not alert.spread.targets_more:
        entry["destination"] = alert.destination.ip
    if not entry:
        if until is not None:
            raise ConfigError(
                f"alert {alert.id} is of several sources and targets: found an until, expected none, as no rule can "
                "name a side of it and a mark holds for this alert alone"
            )
        return MARKS, {"alert": alert.id, "finding": "false", "why": why, "when": now}
    if alert.target_ports and alert.spread.ports == 1 and alert.transport in ("tcp", "udp", "sctp"):
        entry["service"] = service_in_words(alert.target_ports[0], alert.protocol)
    entry["technique"] = alert.technique.id if alert.technique else UNUSUAL
    return RULES, {**entry, **({"until": until} if until else {}), "why": why, "alert": alert.id}


def true_entry(alert: Alert, why: str, now: str) -> tuple[str, Entry]:
    """Section and entry that say that an alert was true, so that nothing mutes it. now: as RFC 3339."""
    return MARKS, {"alert": alert.id, "finding": "true", "why": why, "when": now}


def say_false(path: Path, alert: Alert, why: str, until: str | None, now: str) -> str:
    """Write into the file that an alert was false; says in words what was done. Raises as false_entry and add_entry do.

    Where it says that this alert was true, which no rule takes back, another mark does.
    """
    section, entry = false_entry(alert, why, until, now)
    said = add_entry(path, section, entry)
    mark = read_notes(path).marks.get(alert.id)
    if mark is None or not mark.true:
        return said
    return f"{said}; {add_entry(path, MARKS, {'alert': alert.id, 'finding': 'false', 'why': why, 'when': now})}"


@config_errors()
def add_entry(path: Path, section: str, entry: Entry) -> str:
    """Add an entry to the file, which is made where there is none; says in words what was done.

    Raises ConfigError for a file or entry that is wrong, or a section that nothing can be added to; OutputError where
    the file cannot be written.
    """
    entry = {name: " ".join(value.split()) for name, value in entry.items()}  # as it will be read
    _check(section, entry)
    real = Path(os.path.realpath(path))
    try:
        with _locked(real.parent):
            content = read_regular(real, EXPECTED, LIMIT_BYTES) if os.path.exists(real) else None
            text = _text(content or b"", path)
            notes_of_text(text, str(path))  # nothing is added to a file that is wrong
            before = values_of_text(text, str(path))
            if _says_so(before.get(section) or [], section, entry):
                return f"{path} says so already"
            added = with_entry(text, section, entry, str(path))
            _refuse_other(before, added, section, entry, path)
            _replace(real, added, content)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {reason_of(error)}") from error
    told = ", ".join(f"{name} {value}" for name, value in entry.items() if name not in ("why", "when"))
    return f"{section[:-1]} added: {told}, to {path}"


def why_not_writable(path: Path) -> str:
    """Why this process could not replace the file, in words; nothing where it could."""
    real = Path(os.path.realpath(path))
    if not os.path.isdir(real.parent):
        return f"there is no directory {real.parent}"
    if not os.access(real.parent, os.W_OK | os.X_OK):
        return f"no file may be made in {real.parent}"
    return f"{real} may not be read" if os.path.exists(real) and not os.access(real, os.R_OK) else ""


@config_errors()
def with_entry(text: str, section: str, entry: Entry, path: str) -> str:
    """The text with an entry at the end of a section, which is made where it is missing. Raises ConfigError."""
    ending = "\r\n" if "\r\n" in text else "\n"
    root = compose(text, path)
    node = _section(root, section)
    if node is None:
        return _inserted(text, len(text), [f"{section}:", *_lines(entry, 2)], ending)
    start, end = node.start_mark.index, node.end_mark.index
    if isinstance(node, yaml.SequenceNode) and node.value and not node.flow_style:
        return _inserted(text, _end_of(node), _lines(entry, node.start_mark.column), ending)
    if not node.value or is_null(node):  # nothing, null or []
        head = text[:start].rstrip(" ") + text[end:]
        return _inserted(head, len(text[:start].rstrip(" ")), _lines(entry, 2), ending)
    raise ConfigError(f"{path}: {section} is a list in brackets, expected one with dashes, to add an entry to")


def _section(root: yaml.Node | None, section: str) -> yaml.Node | None:
    """The value of a section, None where the file has no such section."""
    if not isinstance(root, yaml.MappingNode):
        return None
    return next((value for key, value in root.value if key.value == section), None)


def _end_of(node: yaml.Node) -> int:
    """Index at which the last value of a node ends: comments behind it are not its own."""
    last = node
    while isinstance(last, yaml.CollectionNode) and last.value and not last.flow_style:
        last = last.value[-1][1] if isinstance(last, yaml.MappingNode) else last.value[-1]
    return int(last.end_mark.index)


def _inserted(text: str, at: int, lines: list[str], ending: str) -> str:
    """Text with lines below the line that `at` is on, or at `at` where a line begins there."""
    if at and text[at - 1] != "\n":
        end = text.find("\n", at)
        at = len(text) if end < 0 else end + 1
    head, tail = text[:at], text[at:]
    if head and not head.endswith("\n"):
        head += ending
    return head + "".join(line + ending for line in lines) + tail


def _lines(entry: Entry, indent: int) -> list[str]:
    lead = " " * indent
    return [
        f"{lead}{'  ' if place else '- '}{name}: {_scalar(name, value)}"
        for place, (name, value) in enumerate(entry.items())
    ]


def _scalar(name: str, value: str) -> str:
    """A value as it stands in the file: in quotes unless it is letters, digits and a few signs."""
    if name != "why" and all(letter.isascii() and (letter.isalnum() or letter in "./-") for letter in value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _check(section: str, entry: Entry) -> None:
    """Raise ConfigError for an entry that no file may have, such as a reason that is too long."""
    try:
        (RuleEntry if section == RULES else MarkEntry).model_validate(entry)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise ConfigError(f"{fault['loc'][0]} {str(fault['input'])[:60]!r}: {expected_of(fault)}") from None


def _says_so(entries: list[dict[str, Any]], section: str, entry: Entry) -> bool:
    """Whether the file says the same already; of marks of one alert the last counts."""
    if section == MARKS:
        entries = [other for other in entries if other["alert"] == entry["alert"]][-1:]
    return any(all(other.get(name) == entry.get(name) for name in _SAYS[section]) for other in entries)


def _refuse_other(before: dict[str, Any], text: str, section: str, entry: Entry, path: Path) -> None:
    """Raise ConfigError unless the text says what was said before and the entry, and nothing else."""
    if len(text.encode()) > LIMIT_BYTES:
        raise ConfigError(f"{path}: would be longer than {LIMIT_BYTES:,} bytes, expected old entries to go first")
    try:
        after = values_of_text(text, str(path))
        notes_of_text(text, str(path))
    except ConfigError:
        after = {}
    if after != {**before, section: [*(before.get(section) or []), entry]}:
        raise ConfigError(
            f"{path}: nothing can be added to its {section} as they are written, expected a list of dashes"
        )


def _text(content: bytes, path: Path) -> str:
    """The text of a file, with its byte order mark if it has one. Raises ConfigError."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8, expected notes of a site") from None


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Wait until no other writer is at a file of this directory. Raises OutputError where one stays for seconds."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        _lock(descriptor, directory)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path) -> None:
    # Whoever may read the directory may hold its lock for ever, and a screen must not stand still for that.
    last_s = time.monotonic() + LONGEST_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > last_s:
                raise OutputError(
                    f"{directory}: another process has held its lock for {LONGEST_WAIT_S:.0f} s: nothing was added"
                ) from None
            time.sleep(0.01)
        else:
            return


def _replace(path: Path, text: str, before: bytes | None) -> None:
    """Put a file in the place of another as a whole, with its mode and where possible its owner. Raises OSError.

    before: what is to be replaced. What was written meanwhile by someone who takes no lock is not: OutputError.
    """
    with whole_file(path, MODE) as stream:
        if before is not None:
            _be_like(path, stream.fileno())
        stream.write(text.encode())
        stream.flush()
        os.fsync(stream.fileno())  # what takes long comes before the last look
        if before != (read_regular(path, EXPECTED, LIMIT_BYTES) if os.path.exists(path) else None):
            raise OutputError(f"{path}: was changed by someone else meanwhile: nothing was added, try again")


def _be_like(path: Path, descriptor: int) -> None:
    found = path.stat()
    if hasattr(os, "fchown") and (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
        with suppress(PermissionError):  # who may not give it away keeps it, with its mode
            os.fchown(descriptor, found.st_uid, found.st_gid)
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, found.st_mode & 0o777)
