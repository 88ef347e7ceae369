"""How long, as people type it: `90s`, `10m`, `24h`, `2d`, or a number of seconds."""

import math
import re
from typing import Final

import typer

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smhd]?)", re.ASCII)
MOST_S: Final = 366 * 86400


def duration_s(text: str, option: str) -> float:
    """Seconds of a duration. Raises typer.BadParameter of the option for other text, nothing, and more than a year."""
    found = _DURATION.fullmatch(text.strip())
    seconds = float(found[1]) * _UNITS[found[2]] if found else math.nan
    if not 0 < seconds <= MOST_S:
        raise typer.BadParameter(f"found {text[:40]!r}, expected a time such as 90s, 10m, 24h or 7d", param_hint=option)
    return seconds
