"""What an alert looks like to other tools: one module for each format, all from the same native document.

A formatter takes a native record as a mapping and gives one line. It knows no file, no socket and no clock, and gives
the same bytes for the same document.
"""

from collections.abc import Callable
from typing import Any, Final

FORMATS: Final = ("native", "eve", "ocsf", "cef")

Formatter = Callable[[dict[str, Any]], bytes]


def formatter(name: str) -> Formatter:
    """What makes a line of this format, at most 8 KiB with its newline, out of a native document.

    In a foreign format only an alert has a line; for what the sensor tells of itself it is empty. It raises ValueError,
    which names the field, for a document that the sensor did not write. Raises ValueError for a name not in FORMATS.
    """
    if name == "native":
        from sensor.alerts.formats.native import native_line

        return native_line
    if name == "eve":
        from sensor.alerts.formats.eve import eve_line

        return eve_line
    if name == "ocsf":
        from sensor.alerts.formats.ocsf import ocsf_line

        return ocsf_line
    if name == "cef":
        from sensor.alerts.formats.cef import cef_line

        return cef_line
    raise ValueError(f"found the format {name!r}, expected one of {', '.join(FORMATS)}")
