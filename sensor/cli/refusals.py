"""Checks of the command line before anything is opened for writing."""

import os
from collections.abc import Iterable
from glob import has_magic, iglob
from pathlib import Path
from typing import Final

import typer

from sensor.errors import OutputError
from sensor.printable import printable
from sensor.sources.captures.objects import is_object

PAGES: Final = (".html", ".htm")


def refuse_to_overwrite(output: Path | None, packets: list[str]) -> None:
    """Raise OutputError where alerts would be appended to a file of packets."""
    if output is None:
        return
    for name in packets:
        packet_file = Path(name)
        same = output.samefile(packet_file) if os.path.exists(output) and os.path.exists(packet_file) else False
        if same or output.absolute() == packet_file.absolute():
            raise OutputError(f"{output}: found a file of packets, expected another one for the alerts")


def refuse_to_replace_inputs(page: Path | None, inputs: Iterable[Path | None]) -> None:
    """Raise OutputError where a page would take the place of what it is made of.

    inputs: files, directories and patterns. In a directory anything but a page is taken for an input.
    """
    if page is None:
        return
    target = os.path.realpath(page)
    for given in filter(None, inputs):
        own = os.path.realpath(given)
        inside = os.path.isdir(own) and target.startswith(f"{own}{os.sep}") and not target.endswith(PAGES)
        named = has_magic(str(given)) and target in map(os.path.realpath, iglob(str(given), recursive=True))
        if os.path.exists(target) and (inside or named or (os.path.exists(own) and os.path.samefile(target, own))):
            raise OutputError(f"{page}: found one of the inputs, expected another name for the page")


def refuse_objects(captures: list[str]) -> None:
    """Raise BadParameter where captures of a stream are objects of a store, which are read each for itself."""
    for name in filter(is_object, captures):
        raise typer.BadParameter(f"found {printable(name, 200)}, expected --independent with it", param_hint="CAPTURE")
