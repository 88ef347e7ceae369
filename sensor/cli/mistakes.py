"""What is said to whoever mistook how a command is written: found, expected, and perhaps meant."""

import os
import re
import socket
from ast import literal_eval
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from sensor.printable import printable

MOST_CHARACTERS: Final = 200  # of a word that is quoted
_PACKINGS: Final = ("", ".gz", ".zst", ".xz", ".bz2", ".lz4")
_CAPTURES: Final = tuple(name + packing for name in (".pcap", ".pcapng", ".cap", ".dmp") for packing in _PACKINGS)
_ALERTS: Final = tuple(name + packing for name in (".jsonl", ".ndjson", ".json") for packing in _PACKINGS)
_CSV: Final = tuple(f".csv{packing}" for packing in _PACKINGS)
# What other programs call it.
_OTHER_NAMES: Final = {
    "analyse": "read", "analyze": "read", "detect": "read", "replay": "read", "open": "read", "scan": "read",
    "live": "watch", "capture": "watch", "sniff": "watch", "monitor": "watch", "listen": "watch", "run": "watch",
    "start": "watch", "models": "model", "bundle": "model", "bundles": "model", "api": "serve", "server": "serve",
    "test": "selftest", "doctor": "check", "validate": "check", "settings": "config", "fit": "train",
    "learn": "baseline", "alert": "alerts", "flow": "flows", "export": "flows",
    "version": "--version", "help": "--help", "man": "--help",
}  # fmt: skip
# The word as Python writes it: in other quotes where it has one, some letters escaped.
_NO_COMMAND: Final = re.compile(r"No such command ('.*?'|\".*?\")\.?(?: Did you mean (.*)\?)?$", re.DOTALL)
_EXTRA: Final = re.compile(r"Got unexpected extra argument\(s\) \((.*)\)$", re.DOTALL)
_NO_OPTION: Final = re.compile(r"No such option: (\S+)(?: Did you mean (\S+)\?)?(?: \(Possible options: (.*)\))?$")
_MISSING: Final = re.compile(r"Missing (argument|option) (.*)$", re.DOTALL)
_VALUE: Final = re.compile(r"Invalid value(?: for (.*?)(?: \(env var: '(\w+)'\))?)?: (.*)$", re.DOTALL)
_NO_VALUE: Final = re.compile(r"Option '(.*)' requires an argument$")


def words_of(error: Any) -> str:
    """One line for a usage error of the command line's library, with where its help is.

    error: has message, ctx (of the command, or None), and format_message().
    """
    said = " ".join(str(error.format_message()).split()).rstrip(".")
    path = str(getattr(error.ctx, "command_path", "flowvigil"))
    for pattern, words in _WORDS.items():
        if match := pattern.match(said):
            said = words(path, error, match)
            break
    return f"{printable(said, 1000)} (see {path} --help)"


def meant_by(word: str) -> str:
    """The command that takes such a word, as it is written; "" where none comes to mind."""
    name, quoted = word.lower(), _quoted(word)
    path = Path(word)
    if word in _OTHER_NAMES:
        return f"flowvigil {_OTHER_NAMES[word]}"
    if word in _interfaces():
        return f"flowvigil watch -i {quoted}"
    if name.endswith(_CAPTURES):
        return f"flowvigil read {quoted}"
    if name.endswith(_ALERTS):
        return f"flowvigil report {quoted} -o report.html"
    if name.endswith(_CSV):
        return f"flowvigil explore {quoted} -o explored.html"
    if name.endswith(".parquet"):
        return f"flowvigil flows {quoted}"
    if name.endswith((".yaml", ".yml")):
        return f"flowvigil config check {quoted}"
    if os.path.exists(path / "manifest.json"):
        return f"flowvigil model show {quoted}"
    return f"flowvigil read {quoted}" if os.path.exists(path) else ""


def _quoted(word: str) -> str:
    from shlex import quote

    return quote(printable(word, MOST_CHARACTERS))


def _interfaces() -> set[str]:
    try:
        return {name for _, name in socket.if_nameindex()}
    except (OSError, AttributeError):  # pragma: no cover  # a system that names none
        return set()


def _no_command(path: str, error: Any, match: re.Match[str]) -> str:
    word, near = str(literal_eval(match[1])), match[2]
    meant = meant_by(word) if path == "flowvigil" else ""
    if near and not meant:
        return f"found {word!r}, which is no command, did you mean {near.replace(chr(39), '')}?"
    if meant:
        return f"found {word!r}, which is no command, did you mean `{meant}`?"
    names = ", ".join(getattr(error.ctx.command, "commands", ()))
    return f"found {word!r}, which is no command, expected one of {names}"


def _extra(path: str, _error: Any, match: re.Match[str]) -> str:
    words = match[1]
    command = path.rpartition(" ")[2]
    if command in {"watch", "check"}:
        options = " ".join(f"-i {_quoted(word)}" for word in words.split())
        return f"found {words!r}, expected each interface behind its -i: `{path} {options}`"
    return f"found {words!r}, which is more than {path.partition(' ')[2] or path} takes"


def _no_option(path: str, _error: Any, match: re.Match[str]) -> str:
    word, near = match[1], match[2] or match[3]
    hint = f", did you mean {near.replace(', ', ' or ')}?" if near else ""
    return f"found {word}, which is no option of {path.partition(' ')[2] or path}{hint}"


def _missing(path: str, error: Any, match: re.Match[str]) -> str:
    what, _, names = match[2].partition(". Choose from: ")
    what = what.replace("' / '", " or ").replace("'", "")
    what += "".join(f" or {other}" for other in getattr(getattr(error, "param", None), "secondary_opts", ()))
    return f"{path.partition(' ')[2] or path} needs {what}{names and f', one of {names}'}"


def _value(_path: str, error: Any, match: re.Match[str]) -> str:
    option = (match[1] or "").replace("' / '", " or ").replace("'", "")
    option += f" or {match[2]}" if match[2] else ""  # a variable that it may come from, too
    cause = error.__cause__ or error.__context__
    words = match[3]
    if callable(getattr(cause, "errors", None)):  # pydantic's, of the library's own conversion
        from configs.faults import expected_of

        fault = cause.errors()[0]
        found = printable(str(fault["input"]), MOST_CHARACTERS)
        words = f"found {found!r}, {_listed(expected_of(fault))}"
    return f"{option}: {words}" if option else words


def _listed(words: str) -> str:
    """As "expected …": the library says of names what they are not."""
    _, found, names = words.rstrip(".").partition(" is not one of ")
    return f"expected one of {names}" if found else words


def _no_value(_path: str, _error: Any, match: re.Match[str]) -> str:
    return f"{match[1]} needs a value behind it"


_WORDS: Final[dict[re.Pattern[str], Callable[[str, Any, re.Match[str]], str]]] = {
    _NO_COMMAND: _no_command,
    _EXTRA: _extra,
    _NO_OPTION: _no_option,
    _MISSING: _missing,
    _NO_VALUE: _no_value,
    _VALUE: _value,
}


def nearest(word: str, names: Sequence[str]) -> str:
    """How a message goes on after a name that is none of these."""
    near = get_close_matches(word, names, 1)
    return f", did you mean {near[0]}?" if near else f", expected one of {', '.join(names)}"
