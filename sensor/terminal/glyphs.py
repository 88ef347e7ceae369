"""The non-ASCII characters that the views draw, and their substitutes for terminals without UTF-8."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.text import Text

from sensor.printable import printable

# Style of each severity; the word carries the meaning where there is no colour.
SEVERITY_STYLES: Final = {"high": "bold red", "medium": "yellow", "low": "cyan"}


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Characters to draw with."""

    unicode: bool  # whether the terminal takes more than ASCII
    arrow: str  # from a source to a target
    full: str  # the part of a bar that is filled
    empty: str  # the rest of it
    dot: str  # between parts of a line
    edge: str  # in a bar, the edge of normal traffic
    pointer: str  # before the selected row
    times: str  # before a number of repeats
    severities: Mapping[str, str]  # by the word of the severity
    spark: str  # of a sparkline, from nothing to the most
    from_to: tuple[str, str]  # at least, at most


_SEVERITIES, _ASCII_SEVERITIES = {"high": "▲", "medium": "◆", "low": "●"}, {"high": "!", "medium": "*", "low": "-"}
UNICODE = Glyphs(True, "→", "━", "─", "·", "┃", "▶", "×", _SEVERITIES, "▁▂▃▄▅▆▇█", ("≥", "≤"))
ASCII = Glyphs(False, "->", "#", "-", "|", "|", ">", "x", _ASCII_SEVERITIES, " .:-=+*#", (">=", "<="))


def glyphs_for(console: Console) -> Glyphs:
    """The characters that the console's encoding has."""
    return UNICODE if (console.encoding or "").lower().replace("-", "").startswith("utf") else ASCII


def sparkline(values: Sequence[float], glyphs: Glyphs) -> str:
    """A sparkline: one character for each value, relative to the largest."""
    most = max(values, default=0.0)
    steps = len(glyphs.spark) - 1
    return "".join(glyphs.spark[round(max(value, 0.0) / most * steps) if most > 0 else 0] for value in values)


def safe_text(text: str, limit: int, glyphs: Glyphs) -> str:
    """Untrusted text made safe for a terminal: printable, limited in length, and ASCII where it has no UTF-8."""
    safe = printable(text, limit)
    return safe if glyphs.unicode else safe.encode("ascii", "backslashreplace").decode("ascii")


def fit_line(line: Text, width: int, glyphs: Glyphs) -> Text:
    """Cut a line to at most `width` cells on one row, whole letters only, and return it."""
    line.truncate(width, overflow="ellipsis" if glyphs.unicode else "crop")
    line.no_wrap, line.overflow, line.end = True, "crop", ""
    return line
