"""Text from packets, file names and labels, made safe for a terminal and a log line.

A terminal obeys escape sequences (ECMA-48) and reorders text at bidirectional controls (Unicode TR 36, 2.5): neither
may come from outside. Printable text of any language stays as it is.
"""

import codecs
import os
import re
import unicodedata
from collections.abc import Mapping
from typing import Final

# Other: control, format (bidirectional controls, zero width), surrogate, private use, unassigned; line and paragraph
# separators. A plain space is Zs and stays.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

_BEYOND_PLAIN = re.compile(r"[^\n\t -~]")  # what may need a look

# What units and our own words have beyond ASCII, and what stands for it on a terminal that has no more.
_IN_ASCII: Final = str.maketrans(
    {
        "µ": "u",
        "μ": "u",
        "×": "x",
        "→": "->",
        "–": "-",
        "−": "-",
        "·": "|",
        "…": "...",
        "≥": ">=",
        "≤": "<=",
    }
)
_ASCII_ERRORS: Final = "flowvigil.ascii"

_FIRST_MARK = "\u0300"  # no character below combines with the one before it


def printable(text: str, limit: int = 256) -> str:
    """Text without characters that a terminal or a log reader could obey, at most `limit` characters.

    An unsafe character is written as its Python escape (`\\x1b`, `\\u202e`); what is cut off is marked by an ellipsis.
    """
    if len(text) <= limit and text.isprintable() and (text.isascii() or max(text) < _FIRST_MARK):
        return text
    # Combining marks pile up without bound on one cell: more than two in a row are written as escapes too.
    safe, marks = [], 0
    for character in text[: limit + 1]:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        safe.append(_escaped(character) if category in _UNSAFE or marks > 2 else character)
    result = "".join(safe)
    return result if len(result) <= limit else result[: limit - 1] + "…"


def terminal_safe(text: str) -> str:
    """Text of any length, or lines of JSON, without characters that a terminal could obey, line ends and tabs aside.

    An unsafe character is written in the notation of JSON (`\\u009b`; RFC 8259, 7), so that JSON stays what it was.
    """
    return _BEYOND_PLAIN.sub(lambda found: _in_json(found[0]), text)


def terminal_safe_line(line: bytes) -> bytes:
    """A line in UTF-8, as terminal_safe has it; bytes that are no UTF-8 are escaped too."""
    return terminal_safe(line.decode("utf-8", "surrogateescape")).encode()


def takes_unicode(encoding: str | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a terminal shows more than ASCII: by the encoding of its stream, unless the locale is C or POSIX.

    Python writes UTF-8 in the C locale (PEP 540), whatever the terminal was set to.
    """
    names = (environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    locale = next((name for name in names if name), "")
    return (encoding or "").lower().replace("-", "").startswith("utf") and locale not in ("C", "POSIX")


def in_ascii(text: str) -> str:
    """Text in ASCII: units and signs by what stands for them (`us` for microseconds), other letters as escapes."""
    return text.translate(_IN_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def ascii_errors() -> str:
    """The name of a handler of encoding errors that does the same, for a stream of ASCII."""
    codecs.register_error(_ASCII_ERRORS, _replaced)
    return _ASCII_ERRORS


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return in_ascii(error.object[error.start : error.end]), error.end


def _in_json(character: str) -> str:
    if unicodedata.category(character) not in _UNSAFE:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii") if ord(character) > 0x7F else repr(character)[1:-1]
