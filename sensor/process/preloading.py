"""Modules that a running watch needs after its privileges have gone: loaded while their files can still be read.

An installation may be root's alone, and then the user that the sensor becomes cannot import from it any more. The live
tests hold this list to what a watch imports.
"""

import importlib
from typing import Final

# What the watch is put together from, and what only its reload, its screen, its workers or its end needs.
PARTS: Final = (
    "encodings.idna",  # what a host's name is looked up with
    "multiprocessing.popen_fork",
    "sensor.settings.config",
    "sensor.metering.live",
    "sensor.run.outlet",
    "sensor.settings.file",
    "sensor.outputs.outputs",
    "sensor.terminal.terminal_control",
    "sensor.terminal.json_log",
    "sensor.terminal.screen_thread",
    "sensor.terminal.plain_screens",
    "sensor.terminal.scroll_view",
    "sensor.run.watching",
    "sensor.metering.workers",
)
METRICS: Final = "sensor.progress.prometheus"
WIDE: Final = "日"  # anything that takes more than one column


def load_what_is_needed_later(*, metrics: bool) -> None:
    """Import what a watch uses later. metrics: also what serves them, which takes memory."""
    for name in (*PARTS, METRICS) if metrics else PARTS:
        importlib.import_module(name)
    from rich.cells import cell_len

    cell_len(WIDE)  # the table of widths is a module that is loaded at the first need of it
