"""Charts of counts and shares by class, part and column, and matrices of counts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.fusion import VERDICTS
from training.page.charts import NARROW, OKABE_ITO, WIDE, draw, looks
from training.page.content import Chart

MOST_COLUMNS = 15
ROW_INCHES = 0.26
MOST_TICKS = 4  # of long numbers, on a narrow chart
# Told apart by lightness and hatch as well: nothing, a dotted middle, a dark surface.
VERDICT_STYLE = {"benign": ("#E4E4E4", ""), "uncertain": ("#E69F00", "...."), "attack": ("#0072B2", "")}
LANE_STYLE = {
    "both": ("#0072B2", ""),
    "known only": ("#56B4E9", "////"),
    "novel only": ("#E69F00", "...."),
    "none": ("#E4E4E4", ""),
}


def recall_by_class(
    arranged: Mapping[str, Mapping[str, Mapping[str, Any]]], rate: str, name: str, hosts: int | None
) -> Chart:
    """Recall of the hybrid for each class, with Wilson intervals and the number of rows.

    arranged: classes as they stand and, where rows have hosts, re-homed.
    """
    as_is = arranged["as is"]
    classes = list(as_is)
    height = 0.72 / len(arranged)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        offsets = (0.19, -0.19) if len(arranged) == 2 else (0.0,)
        for offset, (title, rows) in zip(offsets, arranged.items(), strict=True):
            own = looks(["as is", "re-homed"])[title]
            recall = np.array([rows[label]["recall"] for label in classes])
            low, high = np.array([rows[label]["interval"] for label in classes]).T
            places = np.arange(len(classes))[::-1] + offset
            errors = np.maximum([recall - low, high - recall], 0)
            style: dict[str, Any] = {"color": own.colour, "hatch": "" if title == "as is" else "////"}
            axes.barh(
                places,
                recall,
                height=height,
                label=title,
                xerr=errors,
                ecolor="black",
                edgecolor="white",
                capsize=2,
                **style,
            )
        axes.set_yticks(np.arange(len(classes))[::-1], [f"{c} (n = {_count(as_is[c])})" for c in classes])
        axes.set(xlim=(0, 1.02), xlabel="recall")
        axes.grid(visible=True, axis="x")
        axes.set_axisbelow(True)
        if len(arranged) > 1:
            figure.legend(loc="outside lower center", ncols=2)

    at = f"at a nominal {_percent(rate)}"
    if hosts is None:
        told = "; ".join(f"{c}: {as_is[c]['recall']:.3f}" for c in classes)
        few = "records"
    else:
        moved = arranged["re-homed"]
        told = "; ".join(f"{c}: {as_is[c]['recall']:.3f}, re-homed {moved[c]['recall']:.3f}" for c in classes)
        at, few = f"{at}, re-homed onto {hosts} hosts", "flows"
    caption = f"Recall of the hybrid by class {at}; * fewer than 30 {few}"
    size = _size(len(arranged) * len(classes))
    return draw(name, f"Recall by class at {_percent(rate)}", told, paint, caption=caption, size=size)


def verdicts_by_class(rows: Mapping[str, Mapping[str, int]], rate: str, name: str) -> Chart:
    """Share of each true class by verdict."""
    caption = f"Verdicts by true class at a nominal {_percent(rate)}"
    return _stacked(rows, {verdict: VERDICT_STYLE[verdict] for verdict in VERDICTS}, caption, name)


def lanes_by_class(rows: Mapping[str, Mapping[str, int]], rate: str, name: str) -> Chart:
    """Share of each true class by the lanes that speak."""
    return _stacked(rows, LANE_STYLE, f"Which lane speaks, by true class, at a nominal {_percent(rate)}", name)


def confusion_matrices(members: Mapping[str, Any], chosen: Sequence[str], rate: str, name: str) -> Chart:
    """Two by two counts of the chosen members, shaded by the share of their true class."""
    cells = {member: members[member]["rates"][rate]["confusion"] for member in chosen}

    def paint(figure: Figure) -> None:
        for axes, (member, own) in zip(np.atleast_1d(figure.subplots(1, len(cells))), cells.items(), strict=True):
            _matrix(axes, member, np.array([[own["tn"], own["fp"]], [own["fn"], own["tp"]]]))

    told = "; ".join(
        f"{member}: {own['tp']:,} found, {own['fn']:,} missed, {own['fp']:,} false alarms, {own['tn']:,} left alone"
        for member, own in cells.items()
    )
    caption = f"Confusion matrices at a nominal {_percent(rate)}; shade: share of the row"
    return draw(name, "Confusion matrices", told, paint, caption=caption, size=(WIDE[0], 2.6))


def columns_by(rows: Sequence[Mapping[str, Any]], key: str, label: str, caption: str, name: str) -> Chart:
    """The columns with the largest figures; those marked as fingerprints are hatched."""
    top = [row for row in rows if row[key] is not None][:MOST_COLUMNS]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        places = np.arange(len(top))[::-1]
        for marked, hatch, title in ((False, "", ""), (True, "////", "fingerprint column")):
            own = [bool(row.get("fingerprint")) == marked for row in top]
            if any(own):
                values = [row[key] for row, keep in zip(top, own, strict=True) if keep]
                colour = OKABE_ITO[1] if marked else OKABE_ITO[0]
                axes.barh(places[own], values, color=colour, hatch=hatch, edgecolor="white", label=title, height=0.7)
        axes.set_yticks(places, [row["column"] for row in top])
        axes.set_xlabel(label)
        axes.locator_params(axis="x", nbins=MOST_TICKS)
        axes.grid(visible=True, axis="x")
        axes.set_axisbelow(True)
        if any(row.get("fingerprint") for row in top):
            figure.legend(loc="outside lower center")

    told = "; ".join(f"{row['column']} {row[key]:.4f}" for row in top)
    return draw(name, caption, told, paint, caption=caption, size=(NARROW[0], 1.0 + ROW_INCHES * max(len(top), 4)))


def parts(rows: Mapping[str, Any], rate: str, name: str, hosts: str) -> Chart:
    """Recall of each part and rule over its actual false-positive rate, with both intervals."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for title, own in looks(list(rows)).items():
            row = rows[title]
            x, y = 100 * row["fpr"], row["recall"]
            errors = [
                np.maximum([[x - 100 * row["fpr_interval"][0]], [100 * row["fpr_interval"][1] - x]], 0),
                np.maximum([[y - row["recall_interval"][0]], [row["recall_interval"][1] - y]], 0),
            ]
            style: dict[str, Any] = {"color": own.colour, "marker": own.marker, "markersize": 5, "linestyle": "none"}
            axes.errorbar(x, y, xerr=errors[0], yerr=errors[1], label=title, elinewidth=0.7, **style)
        nominal = 100 * float(rate)
        axes.axvline(nominal, color="#555555", linewidth=0.8)
        axes.set(xlabel="actual false-positive rate, %", ylabel="recall", ylim=(-0.02, 1.03))
        axes.set_xlim(left=0)
        axes.locator_params(axis="x", nbins=MOST_TICKS)
        axes.grid(visible=True)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=7.5)

    told = "; ".join(f"{title}: recall {row['recall']:.3f} at {100 * row['fpr']:.2f} %" for title, row in rows.items())
    caption = f"Parts and rules at a nominal {_percent(rate)} (line), {hosts}"
    return draw(name, f"Parts and rules at {_percent(rate)}", told, paint, caption=caption, size=(NARROW[0], 3.9))


def _stacked(
    rows: Mapping[str, Mapping[str, int]], styles: Mapping[str, tuple[str, str]], caption: str, name: str
) -> Chart:
    totals = {label: max(sum(row.values()), 1) for label, row in rows.items()}

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        places = np.arange(len(rows))[::-1]
        left = np.zeros(len(rows))
        for part, (colour, hatch) in styles.items():
            share = np.array([row[part] / totals[label] for label, row in rows.items()])
            axes.barh(
                places, share, left=left, color=colour, hatch=hatch, edgecolor="#555555", linewidth=0.5, label=part
            )
            left += share
        axes.set_yticks(places, [f"{label} (n = {_few(totals[label])})" for label in rows])
        axes.set(xlim=(0, 1), xlabel="share of the class")
        figure.legend(loc="outside lower center", ncols=4)

    told = "; ".join(
        f"{label}: " + ", ".join(f"{part} {row[part]:,}" for part in styles) for label, row in rows.items()
    )
    return draw(name, caption, told, paint, caption=caption, size=_size(len(rows)))


def _matrix(axes: Axes, title: str, counts: Any) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.25, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        ink = "white" if shares[row, column] > 0.7 else "black"
        text = f"{count:,}\n{100 * shares[row, column]:.2f} %"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks([0, 1], ["not flagged", "flagged"])
    axes.set_yticks([0, 1], ["normal", "attack"])
    axes.set_title(title)


def _size(rows: int) -> tuple[float, float]:
    return WIDE[0], 1.1 + ROW_INCHES * max(rows, 3)


def _count(row: Mapping[str, Any]) -> str:
    return _few(row["n"])


def _few(n: int) -> str:
    return f"{n:,}" + (" *" if n < 30 else "")


def _percent(rate: str) -> str:
    return f"{100 * float(rate):g} %"
