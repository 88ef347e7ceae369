"""The status lines at the bottom of the scrolling view, and the summary at the end of a run, in words."""

from collections.abc import Mapping, Sequence
from typing import Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sensor.alerts.alert import Alert
from sensor.alerts.spread import counted, span_in_words
from sensor.alerts.words import moment, who
from sensor.printable import printable
from sensor.progress.hints import hints
from sensor.progress.progress import Progress
from sensor.progress.words import (
    accounting,
    accounting_parts,
    drift_in_words,
    early_in_words,
    first_problems,
    workers_in_words,
)
from sensor.terminal.alert_text import severity_text, title_text
from sensor.terminal.glyphs import Glyphs

Mode = Literal["read", "watch"]

WIDTH = 60  # cells of a status line
BAR_CELLS = 20
SUMMARY_ALERTS = 15
_MAX_REASONS = 3  # of a status line


def status(progress: Progress, mode: Mode, source: str, packets_per_s: float, glyphs: Glyphs) -> RenderableType:
    """Lines of at most WIDTH cells: none wraps, so the area keeps its height where a terminal gets narrower.

    Four, those of workers that read independent captures, and for a watch the account of every packet and, where there
    are any, warnings: overload, interfaces down.
    """
    rate = f", {with_prefix(packets_per_s).rstrip()}/s" if mode == "watch" else ""  # of the wire, not of reading
    lines = [
        Text.assemble((f"{mode} ", "bold"), progress_text(progress, mode, glyphs), "  ", source),
        Text(f"{progress.packets:,} packets{rate} {glyphs.dot} {progress.flows:,} flows"),
        Text(alert_counts(progress), "bold" if progress.alerts else ""),
        Text(packet_losses(progress), "" if progress.dropped or progress.evicted else "dim"),
    ]
    lines += [Text(row, "dim") for row in workers_in_words(progress.workers)]
    if mode == "watch":
        lines += [
            Text(row, "bold" if progress.shed or progress.difference else "dim") for row in _accounting_lines(progress)
        ]
        lines += [Text(row, "bold yellow") for row in warning_lines(progress)]
    for line in lines:
        _fit_row(line, glyphs)
        line.truncate(WIDTH, overflow=line.overflow)
    return Group(*lines)


def summary(
    progress: Progress, mode: Mode, source: str, alerts: Sequence[Alert], problems: Sequence[str], glyphs: Glyphs
) -> RenderableType:
    """The summary at the end of a run: the alerts of the highest risk, totals, and what could not be judged."""
    lines: list[RenderableType] = []
    told = (alert for alert in alerts if alert.muted is None)
    ranked = sorted(told, key=lambda alert: (-alert.risk, alert.sequence))[:SUMMARY_ALERTS]
    if progress.alerts == 0 and progress.muted:
        lines.append(Text(f"No alert but {progress.muted:,} muted by site notes.", "bold green"))
    elif progress.alerts == 0:
        lines.append(Text(f"No alert: nothing in this {_input_kind(mode)} reached the threshold.", "bold green"))
    else:
        lines.append(Text(alert_counts(progress), "bold"))
        lines += [_ranked(alert, glyphs) for alert in ranked]
        if progress.alerts > len(ranked):
            lines.append(Text(f"  and {progress.alerts - len(ranked):,} more"))
    volume = f"{_number(progress.packets, 'packet')}, {byte_size(progress.bytes)}, {_number(progress.flows, 'flow')}"
    lines.append(Text(f"{source}: {volume} {_took(progress, mode)}"))
    if progress.packets:
        span = span_in_words(max(0, progress.traffic_time_ns - progress.started_ns))
        lines.append(
            Text(f"traffic from {moment(progress.started_ns)} to {moment(progress.traffic_time_ns)} UTC ({span})")
        )
    lines.append(Text(packet_losses(progress, all_reasons=True)))
    if mode == "watch" or progress.filtered or progress.shed:
        lines.append(Text(accounting(progress), "bold yellow" if progress.shed or progress.difference else ""))
    if irregular := irregularities(progress):
        lines.append(Text(irregular, "bold yellow" if progress.evicted else ""))
    if drift := drift_in_words(progress.drift):
        lines.append(Text(printable(drift, 400), "bold yellow"))
    lines += [Text(hint.message) for hint in hints(progress)]
    lines += [Text(printable(problem, 400), "bold yellow") for problem in first_problems(problems)]
    return Group(*lines)


def _number(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _took(progress: Progress, mode: Mode) -> str:
    """How long a run took; of a watch also how much came in, which the speed of reading does not tell."""
    if mode == "read":
        return f"read in {_seconds(progress.elapsed_s)}"
    mean = progress.packets / progress.elapsed_s if progress.elapsed_s > 0 else 0.0
    return f"in {_seconds(progress.elapsed_s)}, {with_prefix(mean).rstrip()} packets/s"


def _seconds(elapsed_s: float) -> str:
    return f"{elapsed_s:.1f} s" if elapsed_s < 120 else _duration(elapsed_s)


def _ranked(alert: Alert, glyphs: Glyphs) -> RenderableType:
    """A line with the alert's severity, risk, name and sides; what has no room goes on below the name."""
    words = Text.assemble(
        (title_text(alert), "bold"), f"  {who(alert, glyphs.arrow)}  {alert.verdict}, ",
        counted(alert.spread.flows, "flow"),
    )  # fmt: skip
    grid = Table.grid(padding=(0, 1))
    grid.add_row(" ", severity_text(alert), Text(f"risk {alert.risk:>5}", no_wrap=True), words)
    return grid


def _fit_row(line: Text, glyphs: Glyphs) -> None:
    """Do not wrap a line."""
    line.no_wrap, line.overflow = True, "ellipsis" if glyphs.unicode else "crop"


def progress_text(progress: Progress, mode: Mode, glyphs: Glyphs, bar_cells: int = BAR_CELLS) -> str:
    """Progress: a bar by bytes read and the time left, bytes alone where the size is unknown, for a watch the time."""
    if mode == "watch":
        return f"for {_duration(progress.elapsed_s)}"
    if not progress.size:
        return f"{byte_size(progress.bytes_read)} read, {_duration(progress.elapsed_s)}"
    share = min(1.0, progress.bytes_read / progress.size)
    cells = round(share * bar_cells)
    bar = glyphs.full * cells + glyphs.empty * (bar_cells - cells)
    left = f"  {_duration(progress.elapsed_s * (1 - share) / share)} left" if 0.01 < share < 1 else ""
    return f"{bar} {share * 100:.0f} % of {byte_size(progress.size)}{left}"


def alert_counts(progress: Progress) -> str:
    """Alerts by verdict."""
    alerts = f"{progress.alerts:,} alert{'s' * (progress.alerts != 1)}"
    verdicts = f"{progress.attacks:,} attack, {progress.uncertain:,} uncertain"
    verdicts += f", {progress.merged:,} hosts in storms" if progress.merged else ""
    muted = f", {progress.muted:,} muted by site notes" if progress.muted else ""
    return f"{alerts}: {verdicts}{muted}" if progress.alerts else f"no alert so far{muted}"


def packet_losses(progress: Progress, *, all_reasons: bool = False) -> str:
    """Packets that were not judged: not decoded, by reason, and dropped before the sensor read them."""
    total = sum(progress.undecoded.values())
    words = f"{total:,} packets not decoded"
    if total:
        words += f" ({_reasons(progress.undecoded, len(progress.undecoded) if all_reasons else _MAX_REASONS)})"
    lost = f"{progress.dropped:,} dropped"
    # First what was lost: the line is cut where it is too long.
    words = f"{words}, {lost}" if all_reasons or not progress.dropped else f"{lost}, {words}"
    if progress.evicted and not all_reasons:
        words = f"table full: {progress.evicted:,} flows evicted, {words}"
    return words


def _accounting_lines(progress: Progress) -> list[str]:
    """The account of every packet, on as many lines as it takes."""
    first, *others = accounting_parts(progress)
    rows = [first]
    for part in others:
        if len(rows[-1]) + 1 + len(part) <= WIDTH:
            rows[-1] += f" {part}"
        else:
            rows.append(f"  {part}")
    return rows


def warning_lines(progress: Progress) -> list[str]:
    """Conditions that an operator should act on, one a line."""
    rows = []
    if progress.overload:
        rows.append(f"overload: {printable(progress.overload, WIDTH)}")
    if down := [printable(interface.name, 32) for interface in progress.interfaces if not interface.up]:
        rows.append(f"down: {', '.join(down)}")
    if progress.lost_lines:
        rows.append(f"{progress.lost_lines:,} JSON lines lost: an output takes none")
    if drift := drift_in_words(progress.drift):
        rows.append(printable(drift, 2 * WIDTH))
    return rows


def irregularities(progress: Progress) -> str:
    """Events that affect flows or their times, in words; empty for none."""
    words = []
    if progress.evicted:
        words.append(f"{progress.evicted:,} flows reported early: the table was full (meter.capacity_flows)")
    if progress.context_evicted:
        words.append(f"{progress.context_evicted:,} rows of context gave way (episodes.capacity_hosts)")
    if early := early_in_words(progress):
        words.append(early)
    if progress.late:
        words.append(f"{progress.late:,} packets stamped before an earlier one")
    if progress.clock_jumps:
        words.append(f"{progress.clock_jumps:,} clock jumps")
    if progress.lost_lines:
        words.append(f"{progress.lost_lines:,} JSON lines lost")
    return ", ".join(words)


def _reasons(undecoded: Mapping[str, int], shown: int) -> str:
    """The most frequent reasons first."""
    counted = sorted(((count, reason) for reason, count in undecoded.items() if count), key=lambda c: (-c[0], c[1]))
    words = [f"{printable(reason, 40)} {count:,}" for count, reason in counted[:shown]]
    return ", ".join(words) + (", ..." if len(counted) > shown else "")


def _input_kind(mode: Mode) -> str:
    return "capture" if mode == "read" else "traffic"


def _duration(seconds: float) -> str:
    """Time for people: `1:05`, `3:01:05`, from a day on `2 d 03:01:05`."""
    whole = int(seconds)
    days, hours, minutes, rest = whole // 86_400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{days} d {hours:02}:{minutes:02}:{rest:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def byte_size(count: int) -> str:
    """An amount of bytes with a decimal prefix: `18.3 MB`."""
    return f"{with_prefix(count)}B"


def with_prefix(value: float) -> str:
    """A number in up to three digits with a decimal (SI) prefix."""
    for divisor, prefix in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= divisor:
            scaled = value / divisor
            return f"{scaled:.0f}{prefix}" if scaled >= 100 else f"{scaled:.1f}{prefix}"
    return f"{value:.0f} "
