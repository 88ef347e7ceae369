"""The top of the interactive view: how much comes in, what becomes of it, and what an operator should look after."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from rich.text import Text

from sensor.progress.progress import Progress
from sensor.progress.words import accounting
from sensor.terminal.glyphs import Glyphs, safe_text, sparkline
from sensor.terminal.status import Mode, alert_counts, packet_losses, progress_text, warning_lines, with_prefix

SAMPLES: Final = 60  # half a second each
_SPARK_CELLS: Final = {100: 16, 120: 30, 160: 60}  # by the width of the terminal from which on


@dataclass(slots=True)
class Rates:
    """How fast the totals grow, from one drawing to the next."""

    packets_per_s: float = 0.0  # that the meter was given
    bits_per_s: float = 0.0  # of the same
    scoring_ns: float = 0.0  # time to score a flow record
    busy: float = 0.0  # share of the time that scoring takes
    history: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))  # the latest rates of packets
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
        self._last = progress

    def averages(self, progress: Progress) -> "Rates":
        """Averages over a run that has ended, as nothing has come since the last drawing."""
        average = Rates(history=deque(maxlen=1), whole_run=True)
        average.update(progress)
        average.history = self.history
        return average


def header(
    progress: Progress, rates: Rates, mode: Mode, source: str, bundle: str, width: int, glyphs: Glyphs
) -> list[Text]:
    """Three lines, and one for each warning. source, bundle: escaped before they are shown."""
    cells = next((cells for least, cells in sorted(_SPARK_CELLS.items(), reverse=True) if width >= least), 8)
    first = Text.assemble(
        (f"flowvigil {mode} ", "bold"), (safe_text(source, 60, glyphs), "bold cyan"), " ",
        progress_text(progress, mode, glyphs),
        (f"  bundle {safe_text(bundle, 40, glyphs)}", "dim"),
    )  # fmt: skip
    spark = sparkline(list(rates.history)[-cells:], glyphs).rjust(min(cells, SAMPLES))
    if rates.whole_run:
        spark = f"average {spark.lstrip()}" if width >= 100 else "average"  # no room for both
    flows = f"{progress.flows if rates.whole_run else progress.table_flows:,} flows"
    flows += " in table" if width >= 100 and not rates.whole_run else ""
    second = Text.assemble(
        (f"{with_prefix(rates.packets_per_s).rstrip()} packets/s ", "bold"),
        (spark, "green"),
        f" {with_prefix(rates.bits_per_s)}bit/s  {flows}  ",
        _scoring(rates, glyphs),
    )
    third = Text.assemble(
        (alert_counts(progress), "bold red" if progress.attacks else "bold" if progress.alerts else ""),
        "  ",
        (packet_losses(progress), "bold yellow" if progress.dropped or progress.evicted else "dim"),
    )
    lines = [first, second, third]
    if progress.shed or progress.difference:
        lines.append(Text(accounting(progress), "bold yellow"))
    return lines + [Text(row, "bold yellow") for row in warning_lines(progress)]


def _scoring(rates: Rates, glyphs: Glyphs) -> str:
    """Time to score a flow record, and the share of a core that it takes."""
    if not rates.scoring_ns:
        return f"scoring {glyphs.empty}"
    time = rates.scoring_ns / 1000
    unit = "µs" if glyphs.unicode else "us"
    return f"scoring {time:.0f} {unit}/flow ({rates.busy * 100:.1f} %)"
