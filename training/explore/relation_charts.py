"""Charts of relations: columns with each other, and columns with families."""

import numpy as np
from matplotlib.figure import Figure

from training.explore.census_charts import family_looks
from training.explore.choice import shown_name
from training.explore.comparison import rows_of
from training.explore.correlation import Correlations
from training.explore.exploration import Exploration
from training.explore.scale import signed_log, ticks
from training.page.charts import NARROW, WIDE, draw
from training.page.content import Chart
from training.page.numbers import effect
from training.page.text import short

# Orange and purple differ to every kind of colour vision, and in print by the sign in the text.
DIVERGING = "PuOr_r"
POINTS = 400


def correlation_chart(found: Correlations) -> Chart:
    """The matrix of rank correlations, its columns in the order of their clustering."""
    k = len(found.names)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        image = axes.imshow(found.matrix, cmap=DIVERGING, vmin=-1, vmax=1, interpolation="nearest")
        size = float(np.clip(400 / k, 4.5, 8))
        axes.set_yticks(range(k), [short(name, 28) for name in found.names], fontsize=size)
        axes.set_xticks(range(k), [short(name, 28) for name in found.names], fontsize=size, rotation=90)
        axes.tick_params(length=1.5)
        marks = (-1, -0.5, 0, 0.5, 1)
        bar = figure.colorbar(image, ax=axes, location="top", shrink=0.35, aspect=30, ticks=marks, label="Spearman’s ρ")
        bar.ax.set_xticklabels(("−1", "−0.5", "0", "+0.5", "+1"))

    first = found.pairs[0]
    told = f"{k} columns; the strongest pair is {first.first} and {first.second} with ρ = {effect(first.rho)}."
    size = (WIDE[0], WIDE[0] * 1.06)
    return draw("correlations", "Rank correlations between columns", told, paint, caption=told, size=size)


def effect_chart(found: Exploration, names: tuple[str, ...]) -> Chart:
    """Cliff's delta of families (across) in the chosen columns (down), the number in each cell."""
    families = found.table.attacks()
    effects = {(comparison.family, comparison.column): comparison.all_rows for comparison in found.comparisons}
    matrix = np.array([[effects[family, name].difference.effect for family in families] for name in names])

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.imshow(matrix, cmap=DIVERGING, vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
        for row, column in np.ndindex(matrix.shape):
            colour = "white" if abs(matrix[row, column]) > 0.7 else "black"
            axes.text(column, row, effect(float(matrix[row, column])), ha="center", va="center", color=colour)
        axes.set_yticks(range(len(names)), [short(name, 30) for name in names])
        axes.set_xticks(range(len(families)), [short(shown_name(found.table, family), 14) for family in families])
        axes.tick_params(length=0)
        axes.xaxis.tick_top()

    told = "Positive: larger than in normal traffic; negative: smaller; ±1: no overlap at all."
    size = (WIDE[0], 0.6 + 0.34 * len(names))
    return draw("effects", "Cliff’s δ by column and family", told, paint, caption=f"Cliff’s δ. {told}", size=size)


def scatter_chart(found: Exploration, first: str, second: str) -> Chart:
    """Two columns against each other on signed-log scales, at most POINTS rows of each family."""
    table = found.table
    names = [column.name for column in table.columns]
    x, y = names.index(first), names.index(second)
    styles = family_looks(table)
    rng = np.random.default_rng(x * len(names) + y)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for family in found.census.families:
            rows = rows_of(table, found.sample, family)
            rows = rng.choice(rows, POINTS, replace=False) if len(rows) > POINTS else rows
            look = styles[family]
            axes.plot(
                signed_log(found.drawn.column(rows, x)), signed_log(found.drawn.column(rows, y)), look.marker,
                markersize=3.2, color=look.colour, alpha=0.75, markeredgewidth=0, rasterized=True,
                label=short(shown_name(table, family), 14),
            )  # fmt: skip
        axes.set_xticks(*ticks(*axes.get_xlim(), table.unit(first)), fontsize=8)
        axes.set_yticks(*ticks(*axes.get_ylim(), table.unit(second)), fontsize=8)
        axes.set_xlabel(short(first, 40))
        axes.set_ylabel(short(second, 40))
        figure.legend(loc="outside upper left", ncols=3, fontsize=8, markerscale=1.6, handletextpad=0.1)

    rho = found.correlations.between(first, second) if {first, second} <= set(found.correlations.names) else 0.0
    told = f"{first} against {second}, signed-log scales; ρ = {effect(rho)} over all families."
    size = (NARROW[0], 3.6)
    return draw(f"pair-{x}-{y}", f"{first} against {second}", told, paint, caption=told, size=size)
