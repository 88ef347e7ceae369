"""The few characters beyond ASCII that the views draw, and what stands for them where the terminal has no UTF-8."""

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
    """What the console's encoding can carry."""
    return UNICODE if (console.encoding or "").lower().replace("-", "").startswith("utf") else ASCII


def sparkline(values: Sequence[float], glyphs: Glyphs) -> str:
    """One letter for each value, against the largest of them."""
    most = max(values, default=0.0)
    steps = len(glyphs.spark) - 1
    return "".join(glyphs.spark[round(max(value, 0.0) / most * steps) if most > 0 else 0] for value in values)


def shown(text: str, limit: int, glyphs: Glyphs) -> str:
    """Text from outside: printable, and in ASCII where the terminal takes nothing else."""
    safe = printable(text, limit)
    return safe if glyphs.unicode else safe.encode("ascii", "backslashreplace").decode("ascii")


def fitted(line: Text, width: int, glyphs: Glyphs) -> Text:
    """The line on one row of at most so many cells; a wide letter that would stick out goes as a whole."""
    line.truncate(width, overflow="ellipsis" if glyphs.unicode else "crop")
    line.no_wrap, line.overflow, line.end = True, "crop", ""
    return line
