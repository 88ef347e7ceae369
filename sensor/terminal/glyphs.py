"""The non-ASCII characters that the views draw, and their substitutes for terminals without UTF-8."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from sensor.printable import ascii_errors, in_ascii, printable, takes_unicode

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
    dash: str  # from one moment to another
    rule: str  # between two columns
    severities: Mapping[str, str]  # by the word of the severity
    spark: str  # of a sparkline, from nothing to the most
    from_to: tuple[str, str]  # at least, at most


_SEVERITIES, _ASCII_SEVERITIES = {"high": "▲", "medium": "◆", "low": "●"}, {"high": "!", "medium": "*", "low": "-"}
UNICODE = Glyphs(True, "→", "━", "─", "·", "┃", "▶", "×", "–", "│", _SEVERITIES, "▁▂▃▄▅▆▇█", ("≥", "≤"))
ASCII = Glyphs(False, "->", "#", "-", "|", "|", ">", "x", "-", "|", _ASCII_SEVERITIES, " .:-=+*#", (">=", "<="))


def glyphs_for(console: Console) -> Glyphs:
    """The characters that the console's encoding and the locale have."""
    return UNICODE if takes_unicode(console.encoding) else ASCII


def only_ascii(console: Console) -> None:
    """Have a console write ASCII alone: what it lacks is better replaced or escaped than an error."""
    if isinstance(console.file, TextIOWrapper):
        console.file.reconfigure(encoding="ascii", errors=ascii_errors())


def sparkline(values: Sequence[float], glyphs: Glyphs) -> str:
    """A sparkline: one character for each value, relative to the largest."""
    most = max(values, default=0.0)
    steps = len(glyphs.spark) - 1
    return "".join(glyphs.spark[round(max(value, 0.0) / most * steps) if most > 0 else 0] for value in values)


def safe_text(text: str, limit: int, glyphs: Glyphs) -> str:
    """Untrusted text made safe for a terminal: printable, limited in length, and ASCII where it has no UTF-8."""
    safe = printable(text, limit)
    return safe if glyphs.unicode else in_ascii(safe)


def wrapped(words: str, width: int, indent: int, style: str = "", *, hanging: int = 0) -> list[Text]:
    """Words on as many lines as they take, indented by so many cells; all but the first by `hanging` more."""
    lines: list[Text] = []
    line, begin = Text(" " * indent, style), indent
    room = max(width, indent + hanging + 8)
    for word in words.split(" "):
        if line.cell_len > begin and line.cell_len + 1 + cell_len(word) > room:
            lines.append(line)
            begin = indent + hanging
            line = Text(" " * begin, style)
        line.append((" " if line.cell_len > begin else "") + word)
    return [*lines, line]


def fit_line(line: Text, width: int, glyphs: Glyphs) -> Text:
    """Cut a line to at most `width` cells on one row, whole letters only, and return it."""
    line.truncate(width, overflow="ellipsis" if glyphs.unicode else "crop")
    line.no_wrap, line.overflow, line.end = True, "crop", ""
    return line
