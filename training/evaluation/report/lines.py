"""Charts with an axis of rates or scores: ROC, precision and recall, calibration, histograms with their thresholds."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from sklearn.calibration import calibration_curve

from training.arrays import Values
from training.datasets.texts import counted_texts
from training.evaluation.curves import FALSE_GRID, RECALL_GRID, Curve
from training.evaluation.figures import NOMINAL_GRID, attacks, nominal_actual
from training.evaluation.scored import ScoredRows
from training.labels import BENIGN
from training.measure import HYBRID
from training.page.charts import NARROW, draw, looks
from training.page.content import Chart

TALL = (NARROW[0], 3.9)
RELIABILITY_BINS = 10
HISTOGRAM_BINS = 30
MOST_FAMILIES = 6  # lines in one histogram


def roc(drawn: Mapping[str, Curve], scored: ScoredRows, name: str, hosts: str, row: str = "flow") -> Chart:
    """Recall over the actual false-positive rate, on a logarithmic axis: alarms are counted in tens of thousands."""
    normal = int((~attacks(scored)).sum())

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        _curves(axes, drawn, FALSE_GRID, lambda curve: curve.recall)
        _logarithmic(axes, "x")
        axes.set(xlim=(0.5 / normal, 1), ylim=(0, 1.01), xlabel="actual false-positive rate", ylabel="recall")
        axes.axvline(1 / normal, color="#555555", linewidth=0.7, linestyle=(0, (1, 2)))
        axes.annotate(f" one normal {row}", (1 / normal, 0.02), fontsize=7, color="#555555")
        axes.grid(visible=True)
        _legend_below(figure, axes)

    told = ", ".join(f"{member} {_at(curve.recall[0], FALSE_GRID, 0.01):.3f}" for member, curve in drawn.items())
    text = f"Recall at 1 % false positives: {told}."
    return draw(name, f"ROC, {hosts}", text, paint, caption=f"ROC, {hosts}; band: 95 % of bootstraps", size=TALL)


def precision_recall(drawn: Mapping[str, Curve], scored: ScoredRows, name: str, hosts: str) -> Chart:
    """Precision over recall, at this table's share of attacks."""
    prevalence = float(attacks(scored).mean())

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        _curves(axes, drawn, RECALL_GRID, lambda curve: curve.precision)
        lowest = min(float(np.nanmin(curve.precision[0])) for curve in drawn.values())
        axes.set(xlim=(0, 1.01), ylim=(max(0.0, lowest - 0.05), 1.005), xlabel="recall", ylabel="precision")
        axes.axhline(prevalence, color="#555555", linewidth=0.7, linestyle=(0, (1, 2)))
        axes.grid(visible=True)
        _legend_below(figure, axes)

    told = ", ".join(f"{member} {_at(curve.precision[0], RECALL_GRID, 0.9):.3f}" for member, curve in drawn.items())
    caption = f"Precision and recall, {hosts}; dotted: share of attacks in this table ({prevalence:.0%})"
    return draw(
        name, f"Precision and recall, {hosts}", f"Precision at recall 0.9: {told}.", paint, caption=caption, size=TALL
    )


def calibration(scored: ScoredRows, name: str, hosts: str) -> Chart:
    """Actual over nominal false-positive rate of each member; grey: within twice and half."""
    actual = nominal_actual(scored)
    normal = int((~attacks(scored)).sum())
    told = {rate: float(scored.found(HYBRID, rate)[~attacks(scored)].mean()) for rate in scored.rates}

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.fill_between(NOMINAL_GRID, NOMINAL_GRID / 2, NOMINAL_GRID * 2, color="#E4E4E4", linewidth=0)
        axes.plot(NOMINAL_GRID, NOMINAL_GRID, color="#555555", linewidth=0.8)
        look = looks([*scored.members, *scored.lanes_of_several])
        for member, share in actual.items():
            shown = np.where(share > 0, share, np.nan)
            own = look[member]
            axes.plot(NOMINAL_GRID, shown, label=member, color=own.colour, linestyle=own.dash, linewidth=1.3)
        axes.plot(list(told), [max(share, 0.3 / normal) for share in told.values()], "k*", label=HYBRID, markersize=8)
        _logarithmic(axes, "xy")
        axes.set(xlabel="nominal false-positive rate", ylabel="actual")
        axes.set(xlim=(NOMINAL_GRID[0], NOMINAL_GRID[-1]), ylim=(0.25 / normal, 1))
        axes.grid(visible=True)
        _legend_below(figure, axes)

    text = "; ".join(f"hybrid at nominal {100 * rate:g} %: actual {100 * share:.2f} %" for rate, share in told.items())
    caption = f"Nominal and actual rate, {hosts}; grey: from half to twice the nominal"
    return draw(name, f"Calibration, {hosts}", text, paint, caption=caption, size=TALL)


def reliability(scored: ScoredRows, name: str) -> Chart:
    """Share of attacks among the flows of each score, of the members whose score is the probability of an attack."""
    members = [member for member in scored.members if member in scored.probabilities]
    attack = attacks(scored)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="#555555", linewidth=0.8)
        look = looks(scored.members)
        for member in members:
            own = look[member]
            true, said = calibration_curve(attack, scored.scores[member], n_bins=RELIABILITY_BINS)
            axes.plot(said, true, label=member, color=own.colour, linestyle=own.dash, marker=own.marker, markersize=3.5)
        axes.set(xlim=(0, 1), ylim=(-0.01, 1.02), xlabel="score", ylabel="share of attacks")
        axes.grid(visible=True)
        _legend_below(figure, axes)

    caption = "Reliability: a score that is a true probability lies on the line (for this table's share of attacks)"
    text = f"Share of attacks by score, for {', '.join(members)}."
    return draw(name, "Reliability", text, paint, caption=caption, size=TALL)


def histogram(scored: ScoredRows, member: str, name: str) -> Chart:
    """Scores of each family on a logarithmic count, with the thresholds of the stored rates."""
    score = scored.scores[member]
    families = _largest(scored)
    edges = np.linspace(score.min(), score.max() + 1e-9, HISTOGRAM_BINS + 1)
    cuts = _cuts(scored, member)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for family, own in looks(families, BENIGN).items():
            counts = np.histogram(score[scored.family == family], edges)[0]
            share = np.where(counts > 0, counts / counts.sum(), np.nan)
            colour = "#555555" if family == BENIGN else own.colour
            axes.stairs(share, edges, baseline=None, label=family, color=colour, linestyle=own.dash, linewidth=1.4)
        for place, (rate, cut) in enumerate(cuts.items()):
            axes.axvline(cut, color="black", linewidth=0.7)
            height = 0.98 - 0.07 * place
            axes.text(cut, height, f" {100 * rate:g} %", transform=axes.get_xaxis_transform(), fontsize=7, va="top")
        _logarithmic(axes, "y")
        axes.set(xlabel=f"score of {member}", ylabel="share of the family")
        _legend_below(figure, axes)

    told = "; ".join(f"threshold at {100 * rate:g} %: {cut:.3g}" for rate, cut in cuts.items())
    caption = f"Scores of {member} by family; vertical: thresholds of the nominal rates"
    return draw(name, f"Scores of {member}", told or "No score reaches a threshold.", paint, caption=caption, size=TALL)


def _cuts(scored: ScoredRows, member: str) -> dict[float, float]:
    """Where a rate's threshold lies on the member's axis.

    The hybrid has one only where its lanes keep their shares, and have any.
    """
    if member != HYBRID:
        return {rate: cut for rate, cut in scored.score_cuts[member].items() if cut is not None}
    base = np.array(scored.cuts[scored.default_rate])
    cuts = {}
    for rate in scored.rates:
        shares = (np.array(scored.cuts[rate]) / np.where(base > 0, base, 1.0))[base > 0]
        if len(shares) and shares[0] > 0 and np.ptp(shares) < 1e-9:
            cuts[rate] = float(-np.log10(shares[0]))
    return cuts


def _largest(scored: ScoredRows) -> list[str]:
    """Normal traffic and the largest families, by name."""
    families, counts = counted_texts(scored.family[attacks(scored)])
    largest = families[np.argsort(-counts, kind="stable")[:MOST_FAMILIES]]
    return [BENIGN, *sorted(str(family) for family in largest)]


def _curves(axes: Axes, drawn: Mapping[str, Curve], grid: Values, of: Callable[[Curve], Values]) -> None:
    look = looks(list(drawn))
    for member, curve in drawn.items():
        own = look[member]
        middle, low, high = of(curve)
        if member == HYBRID:
            axes.fill_between(grid, low, high, color=own.colour, alpha=0.18, linewidth=0)
        width = 2.0 if member == HYBRID else 1.2
        axes.plot(grid, middle, label=member, color=own.colour, linestyle=own.dash, linewidth=width)


def _logarithmic(axes: Axes, directions: str) -> None:
    """Logarithmic axes of shares, told in per cent: powers of ten would need mathematical type."""
    for direction in directions:
        axis = axes.xaxis if direction == "x" else axes.yaxis
        axes.set(**{f"{direction}scale": "log"})
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %"))
        axis.set_minor_formatter(NullFormatter())


def _legend_below(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=7.5, handlelength=3.2)


def _at(values: Values, grid: Values, place: float) -> float:
    return float(values[np.argmin(np.abs(grid - place))])
