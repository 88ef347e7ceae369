"""Charts of counts: rows by family, and over time."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.explore.census import HOURS, Census
from training.explore.choice import shown_name
from training.explore.table import LabelledTable
from training.page.charts import NARROW, WIDE, Look, draw, looks
from training.page.content import Chart
from training.page.numbers import count, quantity, share
from training.page.text import short

# Beyond this many days a chart for each would fill the page: one bar for each then.
MOST_DAYS = 14
MOST_LABELS = 40


def family_looks(table: LabelledTable) -> dict[str, Look]:
    """The same look for a family in every chart: normal first, then attacks, most rows first."""
    unlabelled = ("",) if "" in table.family.names else ()
    return looks((table.normal, *table.attacks(), *unlabelled), normal=table.normal)


def family_chart(table: LabelledTable, counted: Census) -> Chart:
    """Rows of each family, on a logarithmic scale, the count beside each bar."""
    families = list(counted.families.items())
    styles = family_looks(table)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for i, (family, rows) in enumerate(families):
            look = styles[family]
            axes.barh(i, rows, color=look.colour, hatch=look.hatch, edgecolor="white")
            axes.text(rows * 1.1, i, f"{count(rows)} ({share(rows, len(table))})", va="center")
        axes.set_yticks(range(len(families)), [short(shown_name(table, family), 18) for family, _ in families])
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.set_xlim(0.8, max(counted.families.values()) * 40)
        decades(axes, max(counted.families.values()))
        axes.set_xlabel(f"{table.row}s, logarithmic scale")

    told = ", ".join(f"{shown_name(table, family)} {count(rows)}" for family, rows in families)
    size = (NARROW[0], 0.8 + 0.3 * max(len(families), 3))
    return draw("families", f"{table.row.capitalize()}s by family", told, paint, size=size)


def label_chart(table: LabelledTable, counted: Census) -> Chart:
    """Rows of each label in its family's look, families apart, on a logarithmic scale."""
    entries = counted.labels[:MOST_LABELS]
    styles = family_looks(table)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for i, entry in enumerate(entries):
            look = styles[entry.family]
            axes.barh(i, entry.rows, color=look.colour, hatch=look.hatch, edgecolor="white")
            axes.text(entry.rows * 1.15, i, count(entry.rows), va="center", fontsize=8)
        axes.set_yticks(range(len(entries)), [short(entry.label or "unlabelled", 22) for entry in entries], fontsize=8)
        axes.invert_yaxis()
        axes.set_xscale("log")
        highest = max(entry.rows for entry in entries)
        axes.set_xlim(0.8, highest * 12)
        decades(axes, highest)
        axes.set_xlabel(f"{table.row}s, logarithmic scale")

    told = ", ".join(f"{entry.label or 'unlabelled'} {count(entry.rows)}" for entry in entries)
    left_out = len(counted.labels) - len(entries)
    caption = f"{table.row.capitalize()}s by label, in the looks of their families"
    caption += f"; {count(left_out)} rarer labels are not drawn." if left_out else "."
    size = (NARROW[0], 0.8 + 0.2 * max(len(entries), 4))
    return draw("labels", f"{table.row.capitalize()}s by label", told, paint, caption=caption, size=size)


def decades(axes: Axes, largest: float) -> None:
    """Ticks at powers of ten along x, with plain labels."""
    ticks = [10.0**power for power in range(int(np.log10(max(largest, 1))) + 1)]
    axes.set_xticks(ticks, [quantity(tick) for tick in ticks])
    axes.minorticks_off()


def time_charts(table: LabelledTable, counted: Census) -> tuple[Chart, ...]:
    """Rows per hour, stacked by family: a chart for each day, or one bar a day where the days are many."""
    if len(counted.hourly) > MOST_DAYS:
        return (_daily(table, counted),)
    highest = max(int(hours.sum(axis=1).max()) for hours in counted.hourly.values())
    return tuple(_day(table, counted, day, hours, highest) for day, hours in counted.hourly.items())


def _day(table: LabelledTable, counted: Census, day: str, hours: NDArray[np.int64], highest: int) -> Chart:
    families = list(counted.families)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        _stack(axes, table, families, np.arange(HOURS) + 0.5, hours)
        axes.set_xticks(range(0, HOURS + 1, 4))
        axes.set_xlim(0, HOURS)
        axes.set_ylim(0, highest * 1.05)
        axes.set_xlabel("hour, UTC")
        axes.set_ylabel(f"{table.row}s per hour")
        axes.yaxis.set_major_formatter(lambda rows, _: quantity(rows))

    totals = hours.sum(axis=0)
    told = ", ".join(f"{shown_name(table, families[i])} {count(int(totals[i]))}" for i in np.flatnonzero(totals))
    busiest = int(hours.sum(axis=1).argmax())
    description = f"{day}: {told}. The busiest hour begins at {busiest}:00 UTC."
    return draw(f"day-{day}", f"{day}, per hour by family", description, paint, caption=f"{day}: {told}.")


def _daily(table: LabelledTable, counted: Census) -> Chart:
    families = list(counted.families)
    days = list(counted.hourly)
    rows = np.stack([hours.sum(axis=0) for hours in counted.hourly.values()])

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        _stack(axes, table, families, np.arange(len(days)), rows)
        step = max(1, len(days) // 10)
        axes.set_xticks(range(0, len(days), step), days[::step], rotation=30, ha="right")
        axes.set_ylabel(f"{table.row}s per day")
        axes.yaxis.set_major_formatter(lambda rows, _: quantity(rows))

    busiest = days[int(rows.sum(axis=1).argmax())]
    description = f"{len(days)} days from {days[0]} to {days[-1]}; the busiest is {busiest}."
    return draw("days", "Per day by family", description, paint, size=WIDE)


def _stack(
    axes: Axes, table: LabelledTable, families: list[str], at: NDArray[Any],
    rows: NDArray[np.int64],
) -> None:  # fmt: skip
    """Bars of (len(at), families) rows, one upon the other."""
    styles = family_looks(table)
    below = np.zeros(len(rows))
    for i, family in enumerate(families):
        if not rows[:, i].any():
            continue
        look = styles[family]
        label = short(shown_name(table, family), 18)
        axes.bar(at, rows[:, i], 0.9, below, color=look.colour, hatch=look.hatch, edgecolor="white", label=label)
        below += rows[:, i]
    axes.legend(loc="upper left", fontsize=8, handlelength=2.2, handleheight=1.2)
