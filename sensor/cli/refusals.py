"""Checks of the command line before anything is opened for writing."""

import os
from pathlib import Path

import typer

from sensor.errors import OutputError
from sensor.printable import printable
from sensor.sources.captures.objects import is_object


def refuse_to_overwrite(output: Path | None, packets: list[str]) -> None:
    """Raise OutputError where alerts would be appended to a file of packets."""
    if output is None:
        return
    for name in packets:
        packet_file = Path(name)
        same = output.samefile(packet_file) if os.path.exists(output) and os.path.exists(packet_file) else False
        if same or output.absolute() == packet_file.absolute():
            raise OutputError(f"{output}: found a file of packets, expected another one for the alerts")


def refuse_objects(captures: list[str]) -> None:
    """Raise BadParameter where captures of a stream are objects of a store, which are read each for itself."""
    for name in filter(is_object, captures):
        raise typer.BadParameter(f"found {printable(name, 200)}, expected --independent with it", param_hint="CAPTURE")
