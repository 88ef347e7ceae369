"""The few characters beyond ASCII that the view draws, and what stands for them where the terminal has no UTF-8."""

from dataclasses import dataclass

from rich.console import Console


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Characters to draw with."""

    unicode: bool
    arrow: str
    full: str
    empty: str
    dot: str


UNICODE = Glyphs(True, "→", "━", "─", "·")
ASCII = Glyphs(False, "->", "#", "-", "|")


def glyphs_for(console: Console) -> Glyphs:
    """What the console's encoding can carry."""
    return UNICODE if (console.encoding or "").lower().replace("-", "").startswith("utf") else ASCII
