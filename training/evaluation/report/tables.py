"""Tables of the report."""

from collections.abc import Mapping, Sequence
from typing import Any

from training.evaluation.figures import HYBRID_RULE, NO_PROBABILITY, PROBABILITY_RULE
from training.measure import HYBRID
from training.page.content import Heading, Table
from training.page.numbers import count

NOTHING = "–"
SHORT_RULES = {HYBRID_RULE: "its verdict", PROBABILITY_RULE: "0.5", NO_PROBABILITY: "no probability"}


def headline(members: Mapping[str, Any], moved: Mapping[str, Any], rate: str, hosts: int) -> Table:
    """Every member at one nominal rate, as the flows stand and re-homed."""
    titles = ("actual FPR", "ratio", "recall", "precision", "F1")
    headings = (
        Heading("member"),
        *(Heading(title, numeric=True) for title in titles),
        Heading("re-homed FPR", numeric=True),
        Heading("ratio", numeric=True),
        Heading("recall", numeric=True),
    )
    rows = []
    for name, member in members.items():
        own, other = member["rates"][rate], moved[name]["rates"][rate]
        cells = (ranged(own, "fpr", percent), number(own["ratio"], 2), ranged(own, "recall", number))
        rest = (number(own["precision"]), number(own["f1"]))
        beside = (ranged(other, "fpr", percent), number(other["ratio"], 2), ranged(other, "recall", number))
        told = name if name == HYBRID or name.endswith(")") else f"{name} ({member['kind']})"
        rows.append((told, *cells, *rest, *beside))
    caption = f"At a nominal {percent_of(rate)}: 95 % intervals in brackets; re-homed onto {hosts} shared hosts"
    return Table(caption, headings, tuple(rows))


def areas(members: Mapping[str, Any], moved: Mapping[str, Any]) -> Table:
    """What needs no threshold, and what a score of 0.5 would give."""
    headings = (
        Heading("member"),
        Heading("ROC area", numeric=True),
        Heading("re-homed", numeric=True),
        Heading("PR area", numeric=True),
        Heading("re-homed", numeric=True),
        *(Heading(title, numeric=True) for title in ("accuracy", "precision", "recall", "F1", "FPR")),
        Heading("rule"),
    )
    rows = []
    for name, member in members.items():
        half = member["at_0.5"]
        cells = [number(half[key], 4) for key in ("accuracy", "precision", "recall", "f1")]
        own = (number(member["auc"], 4), number(moved[name]["auc"], 4))
        other = (number(member["pr_auc"], 4), number(moved[name]["pr_auc"], 4))
        rows.append((name, *own, *other, *cells, percent(half["fpr"]), SHORT_RULES[half["rule"]]))
    return Table("Areas under the curves, and figures at a score of 0.5", headings, tuple(rows))


def by_class(members: Mapping[str, Any], rate: str, kinds: Sequence[str] = ("hybrid", "voter")) -> Table:
    """Recall of the hybrid's parts for each class; classes of few flows are marked."""
    chosen = {name: member["rates"][rate]["per_class"] for name, member in members.items() if member["kind"] in kinds}
    classes = next(iter(chosen.values()))
    own_headings = (Heading(name, numeric=True) for name in chosen)
    headings = (Heading("class"), Heading("family"), Heading("flows", numeric=True), *own_headings)
    rows = []
    for label, row in classes.items():
        n = count(row["n"]) + (" *" if row["few"] else "")
        rows.append((label, row["family"], n, *(_with_interval(own[label]) for own in chosen.values())))
    return Table(f"Recall by class at a nominal {percent_of(rate)}; * fewer than 30 flows", headings, tuple(rows))


def parts(rows: Mapping[str, Any], moved: Mapping[str, Any], rate: str) -> Table:
    """The ablation in figures."""
    headings = tuple(
        Heading(title, numeric=i > 0)
        for i, title in enumerate(("part or rule", "actual FPR", "recall", "F1", "re-homed FPR", "recall", "F1"))
    )
    cells = [
        (
            title,
            *(percent(row["fpr"]), number(row["recall"]), number(row["f1"])),
            *(percent(moved[title]["fpr"]), number(moved[title]["recall"]), number(moved[title]["f1"])),
        )
        for title, row in rows.items()
    ]
    return Table(f"Parts and rules at a nominal {percent_of(rate)}", headings, tuple(cells))


def pairs(rows: Sequence[Mapping[str, Any]], voters: Sequence[str], rate: str) -> Table:
    """What each voter finds that others miss, and they of what it misses, among attack flows."""
    shown = [row for row in rows if row["one"] != HYBRID and (row["one"] in voters or row["other"] in voters)]
    titles = ("both", "only the first", "only the second", "neither")
    headings = (Heading("members"), *(Heading(title, numeric=True) for title in titles))
    cells = [
        (f"{row['one']}, {row['other']}", *(count(row[key]) for key in ("both", "one only", "other only", "none")))
        for row in shown
    ]
    return Table(f"Attack flows found by pairs of members at a nominal {percent_of(rate)}", headings, tuple(cells))


def matrix(rows: Mapping[str, Mapping[str, int]], caption: str, first: str) -> Table:
    """Counts by true class and whatever the inner keys are."""
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    headings = (Heading(first), *(Heading(column, numeric=True) for column in columns))
    cells = [(label, *(count(row.get(column, 0)) for column in columns)) for label, row in rows.items()]
    return Table(caption, headings, tuple(cells))


def deletion(rates: Mapping[str, Any], hosts: int) -> Table:
    """Alerts that clear when their reasons are restored, and what clears instead of them."""
    titles = ("alerts", "cleared", "of their flows", "columns alone", "other reasons", "as many columns")
    headings = (Heading("nominal"), Heading("hosts"), *(Heading(title, numeric=True) for title in titles))
    cells = []
    for rate, arranged in rates.items():
        for name, row in arranged.items():
            instead = [row["instead"].get(key) for key in ("columns_alone", "other_reasons", "as_many_columns")]
            own = (count(row["alerts"]), ranged(row, "share", percent), percent(row["flows"]))
            where = "as they stand" if name == "as_is" else f"{hosts} shared"
            cells.append((percent_of(rate), where, *own, *(percent(share) for share in instead)))
    return Table("Alerts that clear when three reasons, or others, are restored", headings, tuple(cells))


def at_equal_alarms(rows: Mapping[str, Any]) -> Table:
    """The hybrid beside each other member at as many false alarms as the hybrid made."""
    names = list(next(iter(rows.values()))["members"])
    headings = (Heading("nominal"), *(Heading(title, numeric=True) for title in ("false alarms", HYBRID, *names)))
    cells = [
        (
            percent_of(rate),
            count(row["false_alarms"]),
            number(row["hybrid"]),
            *(number(row["members"][n]) for n in names),
        )
        for rate, row in rows.items()
    ]
    caption = "Recall at no more false alarms than the hybrid made: a threshold that could not have been set beforehand"
    return Table(caption, headings, tuple(cells))


def fingerprints(rows: Sequence[Mapping[str, Any]]) -> Table | None:
    """Figures that the bundle brought along, of fits with and without fingerprint columns; None where it has none."""
    titles = ("detector", "columns", "hosts", "kept from the fit", "nominal", "actual FPR", "recall", "seeds")
    cells = []
    try:
        for row in rows:
            columns = "all" if row["fingerprints"] else "without fingerprints"
            false, recall = row["false_positive_rate"], row["recall"]
            if recall is not None:
                told = (_spread(false, percent), _spread(recall, number), str(len(row["seeds"])))
                kept = str(row.get("split", NOTHING))
                cells.append((row["detector"], columns, row["hosts"], kept, percent(row["rate"]), *told))
    except (KeyError, TypeError):  # another version's figures
        return None
    if not cells:
        return None
    headings = tuple(Heading(title, numeric=i > 3) for i, title in enumerate(titles))
    return Table("Figures stored in the bundle, measured when it was fitted (mean ± deviation)", headings, tuple(cells))


def number(value: float | None, digits: int = 3) -> str:
    """A share or ratio; never 1 or 0 unless it is."""
    if value is None:
        return NOTHING
    text = f"{value:.{digits}f}"
    if value < 1 and text == f"{1:.{digits}f}":
        return f"> {1 - 10**-digits:.{digits}f}"
    if value > 0 and text == f"{0:.{digits}f}":
        return f"< {10**-digits:.{digits}f}"
    return text


def percent(value: float | None) -> str:
    """A rate in per cent, with the digits that small rates need."""
    return NOTHING if value is None else f"{100 * value:.2f} %" if value < 0.1 else f"{100 * value:.1f} %"


def percent_of(rate: str) -> str:
    """A nominal rate's key as people write it."""
    return f"{100 * float(rate):g} %"


def ranged(row: Mapping[str, Any], key: str, form: Any) -> str:
    """A figure with its interval."""
    ends = row[f"{key}_interval"]
    if row[key] is None or ends is None:
        return NOTHING
    if form is percent:
        return f"{form(row[key])} [{100 * ends[0]:.2f}–{100 * ends[1]:.2f}]"
    return f"{form(row[key])} [{ends[0]:.3f}–{ends[1]:.3f}]"


def _with_interval(row: Mapping[str, Any]) -> str:
    low, high = row["interval"]
    return f"{number(row['recall'])} [{low:.2f}–{high:.2f}]"


def _spread(row: Mapping[str, Any], form: Any) -> str:
    deviation = row["deviation"]
    return str(form(row["mean"])) + ("" if deviation is None else f" ± {form(deviation)}")
