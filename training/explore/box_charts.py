"""Box plots of what hypotheses claim: their subjects beside normal rows and beside all families."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.arrays import Values
from training.explore.census_charts import family_looks
from training.explore.choice import shown_name
from training.explore.comparison import rows_of
from training.explore.exploration import Exploration
from training.explore.hypotheses import Verdict, subject_rows
from training.explore.scale import signed_log, ticks
from training.explore.table import Hypothesis
from training.page.charts import NARROW, draw
from training.page.content import Chart
from training.page.numbers import count, quantity, share
from training.page.text import short

WHISKERS = (5, 95)
INK = "#333333"


def claim_charts(found: Exploration, verdicts: list[Verdict]) -> tuple[Chart, ...]:
    """A chart for each column that the given tested claims are about."""
    claims = [verdict.hypothesis for verdict in verdicts if verdict.all_rows is not None]
    columns = dict.fromkeys(claim.column for claim in claims)
    return tuple(box_chart(found, name, [c for c in claims if c.column == name]) for name in columns)


def box_chart(found: Exploration, name: str, claims: list[Hypothesis]) -> Chart:
    """A column's boxes: of families, and of the labels that are claimed about."""
    table = found.table
    column = [column.name for column in table.columns].index(name)
    groups = _groups(found, column, claims)
    means = "; ".join(f"{title} {quantity(float(values.mean()))}" for title, (_, values) in groups.items())
    above = "; ".join(f"{title} {share(int((v != 0).sum()), len(v))}" for title, (_, v) in groups.items())
    told = f"Means: {means}. Rows above zero: {above}."
    rows = sum(len(values) for _, values in groups.values())
    description = f"Box plots of {name}, {count(rows)} {table.row}s. {told}"
    size = (NARROW[0], 0.8 + 0.32 * len(groups))
    title = f"Box plots of {name}"

    def paint(figure: Figure) -> None:
        paint_boxes(figure.subplots(), found, name, claims)

    return draw(f"box-{column}", title, description, paint, caption=told, size=size)


def paint_boxes(axes: Axes, found: Exploration, name: str, claims: list[Hypothesis]) -> None:
    """Boxes from quartile to quartile, bars at medians, whiskers from 5 to 95 %, crosses at means.

    Shares stand on a linear scale, other amounts on a signed-log one.
    """
    table = found.table
    groups = _groups(found, [column.name for column in table.columns].index(name), claims)
    styles = family_looks(table)
    linear = max(float(values.max()) for _, values in groups.values()) <= 1.0
    for i, (family, values) in enumerate(groups.values()):
        mean = np.array([values.mean()])
        axes.boxplot(
            [values if linear else signed_log(values)], positions=[-i], widths=0.62, orientation="horizontal",
            whis=WHISKERS, showfliers=False, patch_artist=True, manage_ticks=False,
            boxprops={"facecolor": styles[family].colour, "edgecolor": INK},
            medianprops={"color": "black", "linewidth": 2.2}, whiskerprops={"color": INK}, capprops={"color": INK},
        )  # fmt: skip
        place = mean if linear else signed_log(mean)
        axes.plot(place, [-i], "X", color="white", markeredgecolor="black", markersize=6, zorder=3)
    axes.set_yticks([-i for i in range(len(groups))], [short(title, 14) for title in groups])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title(short(name, 40), loc="left", fontweight="bold")
    _scale(axes, linear, table.unit(name))


def _groups(found: Exploration, column: int, claims: list[Hypothesis]) -> dict[str, tuple[str, Values]]:
    """Family (for its look) and values of each group, by the group's name."""
    table = found.table
    groups = {
        shown_name(table, family): (family, found.drawn.column(rows_of(table, found.sample, family), column))
        for family in found.census.families
    }
    labels = [claim for claim in claims if claim.label]
    return groups | {own.label: (own.family, table.column(subject_rows(table, own, None), column)) for own in labels}


def _scale(axes: Axes, linear: bool, unit: str) -> None:
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    if linear:
        axes.set_xlim(-0.04, 1.04)
        axes.set_xticks(np.linspace(0, 1, 5).tolist(), ["0", "0.25", "0.5", "0.75", "1"], fontsize=8)
        return
    low, high = axes.get_xlim()
    axes.set_xticks(*ticks(low, high, unit), fontsize=8)
    axes.set_xlim(low, high)
    axes.set_xlabel(f"{unit}{', ' if unit else ''}signed-log scale")
