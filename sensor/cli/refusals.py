"""Checks of the command line before anything is opened for writing."""

import os
from pathlib import Path

from sensor.errors import OutputError


def refuse_to_overwrite(output: Path | None, packets: list[str]) -> None:
    """Raise OutputError where alerts would be appended to a file of packets."""
    if output is None:
        return
    for name in packets:
        packet_file = Path(name)
        same = output.samefile(packet_file) if os.path.exists(output) and os.path.exists(packet_file) else False
        if same or output.absolute() == packet_file.absolute():
            raise OutputError(f"{output}: found a file of packets, expected another one for the alerts")
