"""Text of an alert for the scrolling view: endpoints, title, verdict and reason. Untrusted text passes `printable`."""

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sensor.alerts import words
from sensor.alerts.alert import Alert
from sensor.alerts.deviation import Deviation, edge_in_words, quantity
from sensor.alerts.kinds import number
from sensor.printable import printable
from sensor.terminal.glyphs import SEVERITY_STYLES, Glyphs

INDENT = 9


def alert_block(alert: Alert, now_ns: int, glyphs: Glyphs) -> RenderableType:
    """A new alert: a line with time, severity, endpoints and title, then verdict and reason, then top columns.

    now_ns: the wall clock, whose date is left out.
    """
    time = Text(words.when(alert.time_ns, alert.time_ns, now_ns), "dim", no_wrap=True)
    head = Table.grid(padding=(0, 1))  # a grid, so that a long line goes on below itself
    head.add_row(
        time, severity_text(alert), Text.assemble(words.who(alert, glyphs.arrow), "  ", (title_text(alert), "bold"))
    )
    reason = Text.assemble((verdict_text(alert), "italic"), ": ", printable(alert.reason, 600))
    lines: list[RenderableType] = [head, Padding(reason, (0, 0, 0, INDENT))]
    outside = words.outside_normal(alert)
    if outside:
        columns = "; ".join(deviation_in_words(deviation) for deviation in outside[:3])
        lines.append(Padding(Text(f"outside normal: {columns}", "dim"), (0, 0, 0, INDENT)))
    return Group(*lines)


def update_line(alert: Alert, now_ns: int, glyphs: Glyphs) -> RenderableType:
    """An update of an alert that was shown before: one line, cut at the width of the terminal; now_ns as there."""
    reason = printable(alert.reason, 600)
    return Text.assemble(
        (words.when(alert.time_ns, alert.time_ns, now_ns), "dim"),
        " ",
        severity_text(alert),
        f" {alert.origin} goes on: ",
        (title_text(alert), "bold"),
        f", {reason}",
        no_wrap=True,
        overflow="ellipsis" if glyphs.unicode else "crop",
    )


def severity_text(alert: Alert) -> Text:
    """HIGH, MEDIUM or LOW, with its colour."""
    word = words.severity_word(alert.severity)
    return Text(f"{word.upper():<6}", SEVERITY_STYLES[word])


def title_text(alert: Alert) -> str:
    """The alert's title, short enough for a row."""
    return printable(alert.title, 60)


def verdict_text(alert: Alert) -> str:
    """Such as `attack, both lanes, SSH-Patator, T1110.001, p 2e-05`."""
    said = words.label_in_words(alert)
    label = f", {printable(said, 60)}" if said else ""
    technique = f", {printable(alert.technique.id, 16)}" if alert.technique is not None else ""
    p_value = number(float(f"{min(alert.p_known, alert.p_novel):.1g}"))
    return f"{alert.verdict}, {words.lane_in_words(alert)}{label}{technique}, p {p_value}"


def deviation_in_words(deviation: Deviation) -> str:
    """Such as `fwd_psh_flags 412 (normal 2, 99 % up to 9)`."""
    value, median = quantity(deviation.value, deviation.unit), quantity(deviation.median, deviation.unit)
    return f"{printable(deviation.name, 40)} {value} (normal {median}, {edge_in_words(deviation)})"
