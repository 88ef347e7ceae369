"""What metering captures into a flow table takes, as one stream or each for itself: the meter, and how it went."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sensor.alerts.spread import counted
from sensor.cli.build import build_table_meter
from sensor.cli.kernels import METERING, METERING_AS, cached, compiling
from sensor.progress.words import worker_rates

if TYPE_CHECKING:
    from flows.meter import Meter
    from sensor.progress.progress import Progress
    from sensor.settings.config import Config


def compiled_meter(config: "Config", program: str | None, beforehand: Callable[[], None], *, quiet: bool) -> "Meter":
    """Meter by the settings, its kernels compiled, which takes a while the first time.

    program: one that it reproduces. beforehand: raises what the run would stop at, before that while.
    """
    kernels = cached(METERING_AS[program] if program else METERING)
    if not kernels.compiled:
        from flows.meter import NO_PACKETS

        beforehand()
        with compiling(kernels, quiet=quiet):
            build_table_meter(config, program).feed(NO_PACKETS)
    return build_table_meter(config, program)


def progress_text(progress: "Progress") -> str:
    """What stands behind the share that was read."""
    written = f"{counted(progress.packets, 'packet')}, {counted(progress.flows, 'flow')} written"
    return f"{written}{worker_rates(progress.workers)}"


def summary(progress: "Progress", written: int, seconds: float) -> str:
    """Counts of what was read and written, in one line."""
    undecoded = ", ".join(f"{count:,} {reason}" for reason, count in progress.undecoded.items()) or "none"
    line = f"{counted(progress.packets, 'packet')}, {counted(written, 'flow')} written, not decoded: {undecoded}"
    counts = (
        ("filtered", progress.filtered),
        ("reported early because the table was full", progress.evicted),
        ("late", progress.late),
        ("clock jumps", progress.clock_jumps),
    )
    for name, count in counts:
        if count:
            line += f", {name}: {count:,}"
    return f"{line}, {seconds:.1f} s"
