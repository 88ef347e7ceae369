"""An alert in the words of the terminal: who, what, how sure and why. Everything shown has passed `printable`."""

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sensor.alerts.alert import Alert, number
from sensor.alerts.deviation import Deviation, quantity
from sensor.printable import printable
from sensor.terminal.glyphs import Glyphs

INDENT = 9
# Smallest severity of each word, highest first; the word carries the meaning where there is no colour.
SEVERITY_WORDS: tuple[tuple[int, str, str], ...] = (
    (70, "HIGH", "bold red"),
    (40, "MEDIUM", "yellow"),
    (0, "LOW", "cyan"),
)


def alert_block(alert: Alert, glyphs: Glyphs) -> RenderableType:
    """A new alert: a line of facts, then verdict and reason, then the columns that moved the score."""
    time = Text(clock_time(alert.time_ns), "dim")
    head = Table.grid(padding=(0, 1))  # a grid, so that a long line goes on below itself
    head.add_row(time, severity_word(alert), Text.assemble(who(alert, glyphs), "  ", (what(alert), "bold")))
    reason = Text.assemble((verdict(alert), "italic"), ": ", printable(alert.reason, 600))
    lines: list[RenderableType] = [head, Padding(reason, (0, 0, 0, INDENT))]
    if alert.deviations:
        moved = "; ".join(contrast_words(deviation) for deviation in alert.deviations[:3])
        lines.append(Padding(Text(f"moved the score: {moved}", "dim"), (0, 0, 0, INDENT)))
    return Group(*lines)


def update_line(alert: Alert, glyphs: Glyphs) -> RenderableType:
    """What became of an alert told before: one line, cut at the width of the terminal."""
    words = printable(alert.reason, 600)
    return Text.assemble(
        (clock_time(alert.time_ns), "dim"),
        " ",
        severity_word(alert),
        f" {alert.origin} goes on: ",
        (what(alert), "bold"),
        f", {words}",
        no_wrap=True,
        overflow="ellipsis" if glyphs.unicode else "crop",
    )


def severity_word(alert: Alert) -> Text:
    """HIGH, MEDIUM or LOW, with its colour."""
    word, style = next((word, style) for least, word, style in SEVERITY_WORDS if alert.severity >= least)
    return Text(f"{word:<6}", style)


def who(alert: Alert, glyphs: Glyphs) -> str:
    """Source and target; the port and the address stand for more where there were more."""
    spread = alert.spread
    target = alert.destination.ip if spread.targets == 1 else f"{spread.targets:,}{'+' * spread.targets_more} hosts"
    if spread.targets == 1 and spread.ports == 1 and alert.destination.port is not None:
        target = f"[{target}]:{spread.port}" if alert.ip_version == 6 else f"{target}:{spread.port}"
    return f"{alert.origin} {glyphs.arrow} {target}"


def what(alert: Alert) -> str:
    """The technique's name or else its id, or the label, or that it is only unusual."""
    if alert.technique is not None:
        return printable(alert.technique.name or alert.technique.id, 60)
    return "Unusual traffic" if alert.label is None else printable(alert.label, 60)


def verdict(alert: Alert) -> str:
    """Such as `attack, both lanes, SSH-Patator, T1110.001, p 2e-05`."""
    lanes = "both lanes" if alert.lane == "both" else f"{alert.lane} lane"
    label = f", {printable(alert.label, 60)}" if alert.label is not None else ""
    technique = f", {printable(alert.technique.id, 16)}" if alert.technique is not None else ""
    return f"{alert.verdict}, {lanes}{label}{technique}, p {number(float(f'{min(alert.p_known, alert.p_novel):.1g}'))}"


def contrast_words(deviation: Deviation) -> str:
    """Such as `fwd_psh_flags 412 (normal 2, 99 % up to 9)`; inside of that only what is normal."""
    value, median = quantity(deviation.value, deviation.unit), quantity(deviation.median, deviation.unit)
    normal = f"normal {median}"
    if deviation.outside and deviation.value < deviation.median:
        normal += f", 99 % from {quantity(deviation.p01, deviation.unit)}"
    elif deviation.outside:
        normal += f", 99 % up to {quantity(deviation.p99, deviation.unit)}"
    return f"{printable(deviation.name, 40)} {value} ({normal})"


def clock_time(time_ns: int) -> str:
    """Time of day in UTC."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%H:%M:%S")
