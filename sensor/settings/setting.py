"""One setting as it was given, and the parsing of its text into a value.

Decimal numbers, true, false and null; no other type is implied: `no`, `012`, `1_000` and `12:30` are text.
It knows no setting by name.
"""

import re
from dataclasses import dataclass

Scalar = str | int | float | bool | None

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]+)?\Z")
_LITERALS: dict[str, Scalar] = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True, slots=True)
class Setting:
    """A value under its dotted name, with its place in the source."""

    name: str
    value: Scalar
    place: str  # of the value, such as `site.yaml:4:19`
    name_place: str = ""  # of the name
    text: str | None = None  # what was parsed, where no quotes can say that it is text; None where they can


def parse_scalar(text: str) -> Scalar:
    """Parse a plain value: decimal numbers, true, false, null (or nothing); all else is text."""
    word = text.strip()
    if word in _LITERALS:
        return _LITERALS[word]
    if _INTEGER.match(word):
        # Longer ones are no sizes or seconds, and Python would take long to read a book of digits.
        return int(word) if len(word) <= 20 else word
    return float(word) if len(word) <= 40 and _FLOAT.match(word) else word
