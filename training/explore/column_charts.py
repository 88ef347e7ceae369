"""Charts of columns: how amounts spread in each family, and how often categories occur."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.explore.census_charts import family_looks
from training.explore.choice import shown_name
from training.explore.comparison import rows_of
from training.explore.exploration import Exploration
from training.explore.scale import signed_log, ticks
from training.explore.table import Coded, LabelledTable
from training.page.charts import NARROW, Look, draw
from training.page.content import Chart
from training.page.numbers import SCALED_UNITS, quantity
from training.page.text import short

BINS = 48
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# A row of families: where its histogram stands and its box hangs, and how high it is in inches.
RIDGE, BOX, ROW_HEIGHT = 0.62, -0.16, 0.42
CATEGORIES_SHOWN = 6
# A bar from end to end has room for so many characters.
CHARACTERS = 40
SHADES = ("#08519C", "#F2B134", "#6BAED6", "#7F3B08", "#C6DBEF", "#B35806", "#E5E5E5")
ON_DARK = {"#08519C", "#7F3B08", "#B35806"}


def distribution_chart(found: Exploration, name: str) -> Chart:
    """For each family a histogram of a column and below it a box: quartiles, median, and from 5 to 95 %."""
    table = found.table
    column = [column.name for column in table.columns].index(name)
    groups = {
        family: found.drawn.column(rows_of(table, found.sample, family), column) for family in found.census.families
    }
    styles = family_looks(table)
    unit = table.unit(name)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        pooled = signed_log(np.concatenate(list(groups.values())))
        edges = np.linspace(pooled.min(), max(pooled.max(), pooled.min() + 0.1), BINS + 1)
        for i, (family, values) in enumerate(groups.items()):
            _ridge(axes, -i, signed_log(values), edges, styles[family])
        names = [short(shown_name(table, family), 14) for family in groups]
        axes.set_yticks([-i for i in range(len(names))], names)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_title(short(name, 40), loc="left", fontweight="bold")
        _scale(axes, float(pooled.min()), float(pooled.max()), unit)

    # A unit that quantities take into themselves (ms, kB) changes from one to the next; another is said once.
    said_once = unit if unit not in SCALED_UNITS else ""
    medians = "; ".join(
        f"{shown_name(table, family)} {quantity(float(np.median(values)), '' if said_once else unit)}"
        for family, values in groups.items()
    )
    medians = f"Medians{f' in {said_once}' if said_once else ''}: {medians}."
    size = (NARROW[0], 0.75 + ROW_HEIGHT * max(len(groups), 2))
    description = f"Distribution of {name} by family on a signed-log scale. {medians}"
    title = f"Distribution of {name}"
    return draw(f"column-{column}", title, description, paint, caption=medians, size=size)


def _ridge(axes: Axes, y: int, values: NDArray[np.float64], edges: NDArray[np.float64], look: Look) -> None:
    heights = np.histogram(values, edges)[0].astype(np.float64)
    heights *= RIDGE / max(float(heights.max()), 1.0)
    axes.stairs(y + heights, edges, baseline=y, fill=True, facecolor=look.colour, edgecolor="#333333", linewidth=0.5)
    low, first, median, third, high = np.quantile(values, QUANTILES)
    axes.plot((low, high), (y + BOX, y + BOX), color="#333333", linewidth=0.8)
    axes.plot((first, third), (y + BOX, y + BOX), color="#333333", linewidth=4.5, solid_capstyle="butt")
    axes.plot(median, y + BOX, "d", color="#333333", markerfacecolor="white", markersize=4.2, markeredgewidth=0.8)


def _scale(axes: Axes, low: float, high: float, unit: str) -> None:
    margin = 0.03 * max(high - low, 0.1)
    axes.set_xlim(low - margin, high + margin)
    axes.set_xticks(*ticks(low - margin, high + margin, unit), fontsize=8)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    if unit and unit != "µs":
        axes.set_xlabel(unit)


def category_chart(found: Exploration, name: str) -> Chart:
    """For each family the shares of a category's values, the rarest taken together."""
    table, category = found.table, found.table.categories[name]
    families = list(found.census.families)
    shares, names = _shares(table, category, families)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        left = np.zeros(len(families))
        for i, value in enumerate(names):
            axes.barh(range(len(families)), shares[:, i], 0.8, left, color=SHADES[i], edgecolor="white")
            for row in np.flatnonzero(shares[:, i] >= 0.1):
                colour = "white" if SHADES[i] in ON_DARK else "black"
                text = short(value, max(4, int(shares[row, i] * CHARACTERS)))
                axes.text(
                    float(left[row] + shares[row, i] / 2),
                    int(row),
                    text,
                    ha="center",
                    va="center",
                    color=colour,
                    fontsize=8,
                )
            left += shares[:, i]
        axes.set_yticks(range(len(families)), [short(shown_name(table, family), 14) for family in families])
        axes.invert_yaxis()
        axes.set_xticks((0, 0.5, 1), ("0 %", "50 %", "100 %"))
        axes.set_xlim(0, 1)
        axes.set_title(short(name, 40), loc="left", fontweight="bold")

    told = "; ".join(
        f"{shown_name(table, family)} {_commonest(shares[row], names)}" for row, family in enumerate(families)
    )
    size = (NARROW[0], 0.8 + 0.3 * max(len(families), 3))
    chart_name = f"category-{list(table.categories).index(name)}"
    return draw(chart_name, f"{name} by family", told, paint, caption=f"{name}. {told}.", size=size)


def _commonest(shares: NDArray[np.float64], names: list[str]) -> str:
    most = [i for i in np.argsort(-shares, kind="stable")[:2] if shares[i] >= 0.005]
    return ", ".join(f"{names[i]} ({100 * shares[i]:.0f} %)" for i in most)


def _shares(table: LabelledTable, category: Coded, families: list[str]) -> tuple[NDArray[np.float64], list[str]]:
    """(families, k) share of each of the most frequent values over all rows, and of all others; their names."""
    width = len(category.names)
    cells = np.bincount(table.family.codes * width + category.codes, minlength=len(table.family.names) * width)
    counts = cells.reshape(-1, width)[[table.family.names.index(family) for family in families]]
    shares = counts / counts.sum(axis=1, keepdims=True)
    # By the largest share in any family, so that what is typical of a small family is shown too.
    order = np.argsort(-shares.max(axis=0), kind="stable")
    most = order[:CATEGORIES_SHOWN]
    names = [category.names[i] for i in most]
    if width <= CATEGORIES_SHOWN:
        return shares[:, most], names
    rest = 1.0 - shares[:, most].sum(axis=1, keepdims=True)
    return np.hstack((shares[:, most], np.maximum(rest, 0.0))), [*names, "the rest"]
