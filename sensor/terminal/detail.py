"""One alert in full: what it means, its reasons as bars against normal, its history, and how to see its packets."""

from typing import Final

from rich.cells import cell_len
from rich.text import Text

from sensor.alerts.alert import Alert
from sensor.alerts.deviation import Deviation, quantity
from sensor.alerts.glosses import gloss
from sensor.alerts.kinds import number
from sensor.alerts.packet_filters import capture_filter, display_filter
from sensor.alerts.playbook import playbook_of
from sensor.alerts.spread import counted, span_in_words
from sensor.alerts.words import (
    address_and_port,
    direction_in_words,
    muted_in_words,
    names_in_words,
    networks_in_words,
    outside_normal,
    service_in_short,
    sources_in_words,
    state_word,
    targets_in_words,
    tls_in_words,
    traffic_in_words,
    when,
    who,
)
from sensor.terminal.alert_list import severity_mark
from sensor.terminal.alert_text import title_text, verdict_text
from sensor.terminal.board import BoardRow, EpisodeHistory
from sensor.terminal.glyphs import Glyphs, safe_text, wrapped

_BAR_CELLS, _NUMBER_CELLS = 24, 12
_BAR_DISTANCE: Final = 3.0  # spans from the median that a full bar stands for; the edge of normal lies at one


def detail(row: BoardRow, width: int, now_ns: int, glyphs: Glyphs) -> list[Text]:
    """Lines about the alert with the last word, in the order in which an analyst asks. No line is wider.

    What was seen, what to do next and the facts come first. now_ns: the wall clock, whose date is left out.
    """
    history, alert = row.history, row.newest
    playbook = playbook_of(alert)
    head = Text.assemble(
        severity_mark(alert, glyphs), " ", (safe_text(title_text(alert), 80, glyphs), "bold"),
        f"  {who(alert, glyphs.arrow)}",
        f"  {glyphs.times}{len(row.episodes)}" if len(row.episodes) > 1 else "",
    )  # fmt: skip
    lines = [head, _when(alert, now_ns, glyphs)]
    lines += wrapped(
        f"{safe_text(verdict_text(alert), 200, glyphs)}, severity {alert.severity}, risk {alert.risk:g}", width, 2
    )
    if alert.muted:
        lines += wrapped(safe_text(muted_in_words(alert), 400, glyphs), width, 2, "bold")
    lines += wrapped(safe_text(alert.reason, 480, glyphs), width, 2)
    lines += wrapped(safe_text(playbook.meaning, 480, glyphs), width, 2, "italic")
    lines += [Text(), _title("Next", "")]
    for place, step in enumerate(playbook.steps, 1):
        lines += wrapped(f"{place}. {safe_text(step, 300, glyphs)}", width, 2, hanging=3)
    lines += [Text(), _title("Facts", ""), *wrapped(safe_text(_traffic(alert), 1000, glyphs), width, 2)]
    more = (("names", names_in_words(alert)), ("TLS", tls_in_words(alert)), ("capture", alert.capture))
    for name, words in more:
        lines += wrapped(safe_text(f"{name}: {words}", 1000, glyphs), width, 2) if words else []
    lines += [Text(), *_reasons(alert, width, glyphs)]
    lines += [Text(), _title("Packets", f"Community ID {alert.community_id}"), *_packets(alert, width, glyphs)]
    return [*lines, Text(), _title("Timeline", f"UTC, alert {alert.id}"), *_timeline(history, row, now_ns, glyphs)]


def _when(alert: Alert, now_ns: int, glyphs: Glyphs) -> Text:
    """When it began and last moved, how long that is, and whether it goes on."""
    state = state_word(alert)
    span = span_in_words(max(0, alert.end_ns - alert.start_ns))
    return Text.assemble(
        f"  {when(alert.start_ns, alert.end_ns, now_ns, glyphs.dash)} UTC ({span}), ",
        (state, "bold" if state == "open" else ""),
    )


def bar(deviation: Deviation, cells: int, glyphs: Glyphs) -> tuple[str, str]:
    """How far from the median, with a mark at the edge of normal; the part inside of it and the part beyond."""
    edge = round(cells / _BAR_DISTANCE)
    filled = round(min(max(deviation.distance, 0.0), _BAR_DISTANCE) / _BAR_DISTANCE * cells)
    if deviation.outside:
        filled = max(filled, edge + 1)  # what is outside is seen to be
    letters = [glyphs.full] * filled + [glyphs.empty] * (cells - filled)
    inside, beyond = letters[:edge], letters[edge:]
    return "".join(inside), glyphs.edge + "".join(beyond)


def _reasons(alert: Alert, width: int, glyphs: Glyphs) -> list[Text]:
    """A table: name, bar, value, median and edge of normal traffic."""
    outside = outside_normal(alert)
    if not outside:
        return [_title("Against normal traffic", ""), Text("  no column stands out by itself", "dim")]
    cells = _BAR_CELLS if width >= 100 else _BAR_CELLS // 2
    names = [safe_text(deviation.name, 40, glyphs) for deviation in outside]
    room = max(22, *map(cell_len, names))
    head = _title("Against normal traffic", "")
    head.pad_right(room + cells + 5 - head.cell_len)
    head.append(f"{'value':>{_NUMBER_CELLS}}{'normal':>{_NUMBER_CELLS}}{'99 %':>{_NUMBER_CELLS + 3}}", "dim")
    lines = [head]
    for name, deviation in zip(names, outside, strict=True):
        inside, beyond = bar(deviation, cells, glyphs)
        column = Text(f"  {name} ")
        column.pad_right(room + 3 - column.cell_len)
        numbers = (deviation.value, deviation.median, deviation.p01 if deviation.low else deviation.p99)
        value, median, edge = (safe_text(_short(each, deviation.unit), 40, glyphs) for each in numbers)
        way = glyphs.from_to[0 if deviation.low else 1]
        lines.append(
            Text.assemble(
                column,
                (inside, "green"),
                (beyond, "bold red"),
                " ",
                (f" {value:>{_NUMBER_CELLS - 1}}", "bold"),
                f" {median:>{_NUMBER_CELLS - 1}} {f'{way} {edge}':>{_NUMBER_CELLS + 2}}",
            )
        )
        lines += wrapped(safe_text(gloss(deviation.name), 400, glyphs), width, 4, "dim")
    return lines


def _short(value: float, unit: str) -> str:
    return quantity(value, unit).replace(" packets/s", "/s").replace("bytes/s", "B/s")


def _traffic(alert: Alert) -> str:
    sources = sources_in_words(alert)
    shown = (service_in_short(alert), direction_in_words(alert), networks_in_words(alert))
    context = "".join(f"{words}; " for words in shown if words)
    return (
        f"{f'from {sources}; ' if sources else ''}{targets_in_words(alert)}; {traffic_in_words(alert)}; {context}"
        f"strongest: {address_and_port(alert.source.ip, alert.source.port)} sent "
        f"{counted(alert.source.packets, 'packet')} ({alert.source.bytes:,} B), "
        f"{address_and_port(alert.destination.ip, alert.destination.port)} "
        f"{alert.destination.packets:,} ({alert.destination.bytes:,} B); "
        + ", ".join(f"{name} {number(float(f'{score:.3g}'))}" for name, score in _scores(alert))
    )


def _scores(alert: Alert) -> list[tuple[str, float]]:
    return [(shown_name[:24], score) for shown_name, score in alert.scores.items() if shown_name.isidentifier()]


def _timeline(history: EpisodeHistory, row: BoardRow, now_ns: int, glyphs: Glyphs) -> list[Text]:
    """The lines that were written of it, and when alerts of the same source and technique came before."""
    lines = []
    most = max((line.flows for line in history.told), default=1)
    for line in history.told:
        cells = max(1, round(line.flows / most * 12))
        lines.append(
            Text.assemble(
                f"  {when(line.time_ns, line.time_ns, now_ns)} {line.action:<8}",
                (f"{glyphs.full * cells:<12}", "cyan"),
                f" {counted(line.flows, 'flow')}, {line.verdict}, risk {line.risk:g}",
            )
        )  # fmt: skip
    others = [other for other in row.episodes if other is not history][-3:]
    lines += [
        Text(
            f"  before: {when(other.newest.start_ns, other.newest.end_ns, now_ns, glyphs.dash)}, "
            f"{counted(other.newest.spread.flows, 'flow')}"
        )
        for other in others
    ]
    return lines


def _packets(alert: Alert, width: int, glyphs: Glyphs) -> list[Text]:
    kept = wrapped(f"kept in {safe_text(alert.packets_file, 64, glyphs)}", width, 2) if alert.packets_file else []
    return [
        *kept,
        *wrapped(f"tshark -r CAPTURE -Y '{display_filter(alert)}'", width, 2),
        *wrapped(f"tcpdump -r CAPTURE '{capture_filter(alert)}'", width, 2),
    ]


def _title(words: str, remark: str) -> Text:
    return Text.assemble((words, "bold underline"), (f"  {remark}" if remark else "", "dim"))
