"""Modules loaded before they are needed: those that a running watch imports after it has dropped its privileges.

An installation may be readable for root only, and then the user that the sensor becomes cannot import from it. The live
tests compare this list with what a watch imports.
"""

from collections.abc import Iterable
from importlib import import_module
from typing import Final

# What the watch is assembled from, and what only its reload, its screen, its workers or its end needs.
MODULES: Final = (
    "encodings.idna",  # what a host's name is looked up with
    "sensor.settings.config",
    "sensor.metering.live",
    "sensor.run.outlet",
    "sensor.settings.file",
    "sensor.site.marking",
    "sensor.outputs.outputs",
    "sensor.terminal.terminal_control",
    "sensor.terminal.json_log",
    "sensor.terminal.screen_thread",
    "sensor.terminal.plain_screens",
    "sensor.terminal.scroll_view",
    "sensor.run.watching",
    "sensor.run.pauses",
    "sensor.run.trimming",
    "sensor.metering.workers",
    "sensor.process.children",
)
METRICS: Final = "sensor.progress.prometheus"
WIDE: Final = "日"  # anything that takes more than one column


def preload(*, metrics: bool) -> None:
    """Import every module that a watch may need later. metrics: also the Prometheus exporter, which takes memory."""
    load((*MODULES, METRICS) if metrics else MODULES)
    from rich.cells import cell_len

    cell_len(WIDE)  # the table of widths is a module that is imported at its first use


def load(modules: Iterable[str]) -> None:
    """Import modules by their names."""
    for name in modules:
        import_module(name)
