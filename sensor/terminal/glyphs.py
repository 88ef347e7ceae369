"""The few characters beyond ASCII that the views draw, and what stands for them where the terminal has no UTF-8."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from sensor.printable import printable


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Characters to draw with. severities: high, medium, low. spark: from nothing to the most.

    from_to: at least, at most."""

    unicode: bool
    arrow: str
    full: str
    empty: str
    dot: str
    edge: str
    pointer: str
    times: str
    severities: tuple[str, str, str]
    spark: str
    from_to: tuple[str, str]


UNICODE = Glyphs(True, "→", "━", "─", "·", "┃", "▶", "×", ("▲", "◆", "●"), "▁▂▃▄▅▆▇█", ("≥", "≤"))
ASCII = Glyphs(False, "->", "#", "-", "|", "|", ">", "x", ("!", "*", "-"), " .:-=+*#", (">=", "<="))


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
