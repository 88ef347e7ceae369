"""Who talks most, by which services and protocols, and how much comes in: the pane beside the detail.

Of a watch it tells bits a second over the last minute, of captures the bytes from their first packet.
"""

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from sensor.alerts.spread import span_in_words
from sensor.progress.progress import Share, Traffic
from sensor.terminal.glyphs import Glyphs, fit_line, safe_text, sparkline
from sensor.terminal.header import Rates
from sensor.terminal.status import Mode, byte_size, with_prefix

PANE_CELLS: Final = 60
_BAR_CELLS, _AMOUNT_CELLS, _SPARK_CELLS = 10, 13, 24
_GAP: Final = 3  # cells between columns


def traffic_pane(
    traffic: Traffic | None, rates: Rates, mode: Mode, width: int, height: int, glyphs: Glyphs
) -> list[Text]:
    """At most `height` lines of at most `width` cells: columns beside each other where there is room for them."""
    head = _head(traffic, rates, mode, glyphs)
    if traffic is None:
        return head[:height]
    sections = [("Top talkers", traffic.hosts), ("Services", traffic.services), ("Protocols", traffic.protocols)]
    columns = max(1, min(len(sections), (width + _GAP) // (PANE_CELLS + _GAP)))
    cells = min((width - _GAP * (columns - 1)) // columns, PANE_CELLS)
    room = height - len(head) - 1
    drawn = [
        _section(title, shares, traffic, mode, cells, most, glyphs)
        for (title, shares), most in zip(sections, _rows(sections, room, columns), strict=True)
    ]
    if traffic.forgotten:
        head[-1].append(f"  {traffic.forgotten:,} of the smallest left out", "dim")
    body = _beside(drawn, cells) if columns == len(drawn) else [line for lines in drawn for line in [*lines, Text()]]
    return [*head, Text(), *body][:height]


def _head(traffic: Traffic | None, rates: Rates, mode: Mode, glyphs: Glyphs) -> list[Text]:
    title = ("Traffic", "bold underline")
    if traffic is None:
        return [Text.assemble(title, ("  nothing told of it yet", "dim"))]
    if mode == "read":
        span = f"  of {span_in_words(round(traffic.seconds * 1e9))}" if traffic.seconds else ""
        return [Text.assemble(title, (f"{span}, bytes of IP packets", "dim"))]
    spark = sparkline(list(rates.bits)[-_SPARK_CELLS:], glyphs)
    now, most = (f"{with_prefix(bits)}bit/s" for bits in (rates.bits_per_s, max(rates.bits, default=0.0)))
    return [
        Text.assemble(title, ("  of flows that were reported, over a minute", "dim")),
        Text.assemble(f"  {now} ", (spark, "green"), f" at most {most}"),
    ]


def _rows(sections: Sequence[tuple[str, Sequence[Share]]], room: int, columns: int) -> list[int]:
    """How many rows of each section there is room for: all that it has where they stand beside each other."""
    if columns == len(sections):
        return [max(0, room - 1)] * len(sections)
    rows = [0] * len(sections)
    left = room - 2 * len(sections) + 1  # a title each, a line between two
    while left > 0 and any(rows[at] < len(shares) for at, (_, shares) in enumerate(sections)):
        for at, (_, shares) in enumerate(sections):
            if left > 0 and rows[at] < len(shares):
                rows[at] += 1
                left -= 1
    return rows


def _section(
    title: str, shares: Sequence[Share], traffic: Traffic, mode: Mode, cells: int, most: int, glyphs: Glyphs
) -> list[Text]:
    all_bytes = max(1, sum(share.bytes for share in traffic.protocols))
    lines = [fit_line(Text(title, "bold"), cells, glyphs)]
    if not shares:
        return [*lines, Text("  none yet", "dim")]
    names = max(8, cells - _BAR_CELLS - _AMOUNT_CELLS - 10)
    for share in shares[:most]:
        name = fit_line(Text(f"  {safe_text(share.name, 60, glyphs)}"), names, glyphs)
        name.pad_right(names - name.cell_len)
        filled = round(min(1.0, share.bytes / all_bytes) * _BAR_CELLS)
        bar = glyphs.full * filled + glyphs.empty * (_BAR_CELLS - filled)
        line = Text.assemble(
            name,
            f" {_amount(share, traffic, mode):>{_AMOUNT_CELLS}} ",
            (bar, "cyan"),
            f" {min(100.0, 100 * share.bytes / all_bytes):>5.1f} %",
        )
        lines.append(fit_line(line, cells, glyphs))
    return lines


def _amount(share: Share, traffic: Traffic, mode: Mode) -> str:
    if mode == "read":
        return byte_size(share.bytes)
    return f"{with_prefix(share.bytes * 8 / traffic.seconds if traffic.seconds > 0 else 0.0)}bit/s"


def _beside(sections: Sequence[Sequence[Text]], cells: int) -> list[Text]:
    lines = []
    for at in range(max(map(len, sections))):
        line = Text()
        for column, section in enumerate(sections):
            piece = section[at] if at < len(section) else Text()
            line.pad_right(column * (cells + _GAP) - cell_len(line.plain))
            line.append_text(piece)
        lines.append(line)
    return lines
