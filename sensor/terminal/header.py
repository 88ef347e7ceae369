"""The top of the interactive view: how much comes in, what becomes of it, and what an operator should look after."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from rich.text import Text

from sensor.alerts.spread import span_in_words
from sensor.alerts.words import when
from sensor.progress.progress import Progress
from sensor.progress.words import accounting, workers_in_words
from sensor.terminal.glyphs import Glyphs, safe_text, sparkline
from sensor.terminal.status import (
    BAR_CELLS,
    Mode,
    alert_counts,
    byte_size,
    packet_losses,
    progress_text,
    warning_lines,
    with_prefix,
)

SAMPLES: Final = 60  # half a second each
_WITH_SCORING: Final = 110  # cells of a terminal from which on reading says how long scoring takes
_SPARK_CELLS: Final = {100: 16, 120: 30, 160: 60}  # by the width of the terminal from which on


@dataclass(slots=True)
class Rates:
    """How fast the totals grow, from one drawing to the next."""

    packets_per_s: float = 0.0  # that the meter was given
    bits_per_s: float = 0.0  # of the same
    scoring_ns: float = 0.0  # time to score a flow record
    busy: float = 0.0  # share of the time that scoring takes
    history: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))  # the latest rates of packets
    bits: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))  # the same of bits
    whole_run: bool = False  # whether these are averages, of a run that has ended
    _last: Progress = field(default_factory=Progress)

    def update(self, progress: Progress) -> None:
        """Compute the rates since the last update; no change where no time has passed."""
        last, seconds = self._last, progress.elapsed_s - self._last.elapsed_s
        if seconds <= 0:
            return
        self.packets_per_s = (progress.packets - last.packets) / seconds
        self.bits_per_s = (progress.bytes - last.bytes) * 8 / seconds
        self.busy = (progress.scoring_s - last.scoring_s) / seconds
        if progress.judged > last.judged:
            self.scoring_ns = (progress.scoring_s - last.scoring_s) / (progress.judged - last.judged) * 1e9
        self.history.append(self.packets_per_s)
        self.bits.append(self.bits_per_s)
        self._last = progress

    def averages(self, progress: Progress) -> "Rates":
        """Averages over a run that has ended, as nothing has come since the last drawing."""
        average = Rates(history=deque(maxlen=1), whole_run=True)
        average.update(progress)
        average.history, average.bits = self.history, self.bits
        return average


def header(
    progress: Progress, rates: Rates, mode: Mode, source: str, bundle: str, width: int, now_ns: int, glyphs: Glyphs
) -> list[Text]:
    """Three lines, and one for each worker that reads independent captures and for each warning.

    source, bundle: escaped before they are shown. now_ns: the wall clock, whose date is left out.
    """
    first = _title(progress, mode, source, bundle, glyphs, BAR_CELLS)
    if (over := first.cell_len - width) > 0:  # the bar gives way to what is written
        first = _title(progress, mode, source, bundle, glyphs, max(0, BAR_CELLS - over))
    second = (
        _reading(progress, rates, width, now_ns, glyphs) if mode == "read" else _rates(progress, rates, width, glyphs)
    )
    third = Text.assemble(
        (alert_counts(progress), "bold red" if progress.attacks else "bold" if progress.alerts else ""),
        "  ",
        (packet_losses(progress), "bold yellow" if progress.dropped or progress.evicted else "dim"),
    )
    lines = [first, second, third, *(Text(row, "dim") for row in workers_in_words(progress.workers))]
    if progress.shed or progress.difference:
        lines.append(Text(accounting(progress), "bold yellow"))
    return lines + [Text(row, "bold yellow") for row in warning_lines(progress)]


def _title(progress: Progress, mode: Mode, source: str, bundle: str, glyphs: Glyphs, bar_cells: int) -> Text:
    """What is read or watched, how far, and by which bundle."""
    return Text.assemble(
        (f"flowvigil {mode} ", "bold"), (safe_text(source, 60, glyphs), "bold cyan"), " ",
        progress_text(progress, mode, glyphs, bar_cells).lstrip(),
        (f"  bundle {safe_text(bundle, 40, glyphs)}", "dim"),
    )  # fmt: skip


def _reading(progress: Progress, rates: Rates, width: int, now_ns: int, glyphs: Glyphs) -> Text:
    """How much was read, and of when: captures are read as fast as it goes, which says nothing of their network."""
    words = f"{progress.packets:,} packets, {byte_size(progress.bytes)}, {progress.flows:,} flows"
    parts = [(words, "bold")]
    if progress.started_ns:
        span = span_in_words(progress.traffic_time_ns - progress.started_ns)
        parts.append((f"  {when(progress.started_ns, progress.traffic_time_ns, now_ns, glyphs.dash)} UTC ({span})", ""))
    if width >= _WITH_SCORING:
        parts.append((f"  {_scoring(rates, glyphs)}", ""))
    return Text.assemble(*parts)


def _rates(progress: Progress, rates: Rates, width: int, glyphs: Glyphs) -> Text:
    """How much comes in on the wire."""
    cells = next((cells for least, cells in sorted(_SPARK_CELLS.items(), reverse=True) if width >= least), 8)
    spark = sparkline(list(rates.history)[-cells:], glyphs).rjust(min(cells, SAMPLES))
    if rates.whole_run:
        spark = f"average {spark.lstrip()}" if width >= 100 else "average"  # no room for both
    flows = f"{progress.flows if rates.whole_run else progress.table_flows:,} flows"
    flows += " in table" if width >= 100 and not rates.whole_run else ""
    return Text.assemble(
        (f"{with_prefix(rates.packets_per_s).rstrip()} packets/s ", "bold"),
        (spark, "green"),
        f" {with_prefix(rates.bits_per_s)}bit/s  {flows}  ",
        _scoring(rates, glyphs),
    )


def _scoring(rates: Rates, glyphs: Glyphs) -> str:
    """Time to score a flow record, and the share of a core that it takes."""
    if not rates.scoring_ns:
        return f"scoring {glyphs.empty}"
    time = rates.scoring_ns / 1000
    unit = safe_text("µs", 4, glyphs)
    return f"scoring {time:.0f} {unit}/flow ({rates.busy * 100:.1f} %)"
