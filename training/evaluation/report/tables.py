"""Tables of the report."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from training.evaluation.figures import HYBRID_RULE, NO_PROBABILITY, PROBABILITY_RULE
from training.measure import HYBRID
from training.page.content import Heading, PageTable
from training.page.numbers import count

NOTHING = "–"
Cell = Callable[[Mapping[str, Any]], str]
SHORT_RULES = {HYBRID_RULE: "its verdict", PROBABILITY_RULE: "0.5", NO_PROBABILITY: "no probability"}


def headline(members: Mapping[str, Any], moved: Mapping[str, Any] | None, rate: str, hosts: int | None) -> PageTable:
    """Every member at one nominal rate, as the rows stand and, where they have hosts, re-homed."""
    novel = any(member["rates"][rate]["novel_recall"] is not None for member in members.values())
    columns: tuple[tuple[str, Mapping[str, Any] | None, Cell], ...] = (
        ("actual FPR", members, lambda row: ranged(row, "fpr", percent)),
        ("ratio", members, lambda row: number(row["ratio"], 2)),
        ("recall", members, lambda row: ranged(row, "recall", number)),
        ("novel recall", members if novel else None, lambda row: number(row["novel_recall"])),
        ("precision", members, lambda row: number(row["precision"])),
        ("F1", members, lambda row: number(row["f1"])),
        ("re-homed FPR", moved, lambda row: ranged(row, "fpr", percent)),
        ("ratio", moved, lambda row: number(row["ratio"], 2)),
        ("recall", moved, lambda row: ranged(row, "recall", number)),
    )
    shown = [(title, block, cell) for title, block, cell in columns if block is not None]
    rows = []
    for name, member in members.items():
        told = name if name == HYBRID or name.endswith(")") else f"{name} ({member['kind']})"
        rows.append((told, *(cell(block[name]["rates"][rate]) for _, block, cell in shown)))
    caption = f"At a nominal {percent_of(rate)}: 95 % intervals in brackets"
    if moved is not None:
        caption += f"; re-homed onto {hosts} shared hosts"
    headings = (Heading("member"), *(Heading(title, numeric=True) for title, _, _ in shown))
    return PageTable(caption, headings, tuple(rows))


def areas(members: Mapping[str, Any], moved: Mapping[str, Any] | None) -> PageTable:
    """What needs no threshold, and what a score of 0.5 would give."""
    columns: list[tuple[str, Mapping[str, Any] | None, str]] = []
    for title, key in (("ROC area", "auc"), ("PR area", "pr_auc")):
        columns += [(title, members, key), ("re-homed", moved, key)]
    shown = [(title, block, key) for title, block, key in columns if block is not None]
    halves = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "F1"}
    if any(member["at_0.5"]["novel_recall"] is not None for member in members.values()):
        halves["novel_recall"] = "novel recall"
    titles = (*(title for title, _, _ in shown), *halves.values(), "FPR")
    headings = (Heading("member"), *(Heading(title, numeric=True) for title in titles), Heading("rule"))
    rows = []
    for name, member in members.items():
        half = member["at_0.5"]
        cells = [*(number(block[name][key], 4) for _, block, key in shown), *(number(half[key], 4) for key in halves)]
        rows.append((name, *cells, percent(half["fpr"]), SHORT_RULES[half["rule"]]))
    return PageTable("Areas under the curves, and figures at a score of 0.5", headings, tuple(rows))


def unsupervised(told: Mapping[str, Any]) -> PageTable:
    """Anomalies found by the lane that learnt normal rows alone, and what that costs."""
    titles = ("attacks found", "novel attacks found", "actual FPR")
    headings = (Heading("nominal"), *(Heading(title, numeric=True) for title in titles))
    cells = [
        (
            percent_of(rate),
            ranged(row, "detection_rate", percent),
            percent(row["novel_detection_rate"]),
            ranged(row, "fpr", percent),
        )
        for rate, row in told["rates"].items()
    ]
    named = ", ".join(told["members"])
    return PageTable(f"Anomaly detection rate of the unsupervised lane ({named}) alone", headings, tuple(cells))


def novel_choice(told: Mapping[str, Any]) -> PageTable:
    """Sizes of the novel lane's forest side by side."""
    rates = list(told["candidates"][0]["recall"])
    headings = [Heading("trees of rows"), Heading("nodes", numeric=True)]
    headings += [Heading(f"recall at {percent_of(rate)}", numeric=True) for rate in rates]
    cells = []
    for place, own in enumerate(told["candidates"]):
        marks = [name for name in ("recipe", "chosen") if told[name] == place]
        size = f"{own['trees']} of {count(own['sample'])}" + (f" ({', '.join(marks)})" if marks else "")
        recalls = [f"{number(row['mean'])} ± {number(row['spread'])}" for row in own["recall"].values()]
        gain = own["gain"][told["chosen_at"]]
        cells.append((size, count(own["nodes"]), *recalls, f"{number(gain['mean'])} ± {number(gain['error'])}"))
    headings.append(Heading(f"gain at {percent_of(told['chosen_at'])}", numeric=True))
    return PageTable("Sizes of Isolation Forest on clusters and attacks that no fit saw", tuple(headings), tuple(cells))


def beside(
    own: Mapping[str, Any], other: Mapping[str, Any], names: tuple[str, str], rates: Sequence[str], rows: str
) -> PageTable:
    """Recall of two bundles' hybrids for each family. own, other: the members blocks."""
    members = (own[HYBRID]["rates"], other[HYBRID]["rates"])
    headings = [Heading("family"), Heading(rows, numeric=True)]
    headings += [Heading(f"{name} at {percent_of(rate)}", numeric=True) for rate in rates for name in names]
    cells = []
    for family, row in members[0][rates[0]]["per_family"].items():
        recalls = [ranged_share(member[rate]["per_family"][family]) for rate in rates for member in members]
        cells.append((family, count(row["n"]) + (" *" if row["few"] else ""), *recalls))
    false = [percent(member[rate]["fpr"]) for rate in rates for member in members]
    cells.append(("flagged of the normal ones", "", *false))
    caption = f"Recall of the hybrid by family, {names[0]} beside {names[1]}; * fewer than 30 {rows}"
    return PageTable(caption, tuple(headings), tuple(cells))


def left_out(rows: Mapping[str, Any]) -> PageTable:
    """Each attack left out: what the hybrid of the fit without it finds of it and flags beside it."""
    rates = list(next(iter(rows.values()))["members"][HYBRID]["rates"])
    headings = [Heading("left out"), Heading("family"), Heading("records", numeric=True)]
    headings += [
        Heading(f"{title} at {percent_of(rate)}", numeric=True) for rate in rates for title in ("recall", "FPR")
    ]
    cells = []
    for name, own in rows.items():
        told = own["members"][HYBRID]["rates"]
        row = told[rates[0]]["per_class"][name]
        figures = [
            cell for rate in rates for cell in (ranged_share(told[rate]["per_class"][name]), percent(told[rate]["fpr"]))
        ]
        cells.append((name, row["family"], count(row["n"]) + (" *" if row["few"] else ""), *figures))
    return PageTable(
        "The hybrid of the fit without each attack; * fewer than 30 records", tuple(headings), tuple(cells)
    )


def by_class(
    members: Mapping[str, Any], rate: str, rows: str = "flows", kinds: Sequence[str] = ("hybrid", "voter")
) -> PageTable:
    """Recall of the hybrid's parts for each class; classes of few rows are marked, and those no fit has seen."""
    chosen = {name: member["rates"][rate]["per_class"] for name, member in members.items() if member["kind"] in kinds}
    classes = next(iter(chosen.values()))
    own_headings = (Heading(name, numeric=True) for name in chosen)
    told_apart = any(row["novel"] is not None for row in classes.values())
    headings = (
        *(Heading("class"), Heading("family")),
        *((Heading("in the fit"),) if told_apart else ()),
        *(Heading(rows, numeric=True), *own_headings),
    )
    cells = []
    for label, row in classes.items():
        n = count(row["n"]) + (" *" if row["few"] else "")
        novel = ("novel" if row["novel"] else "yes",) if told_apart else ()
        cells.append((label, row["family"], *novel, n, *(ranged_share(own[label]) for own in chosen.values())))
    return PageTable(f"Recall by class at a nominal {percent_of(rate)}; * fewer than 30 {rows}", headings, tuple(cells))


def parts(rows: Mapping[str, Any], moved: Mapping[str, Any] | None, rate: str) -> PageTable:
    """The ablation in figures."""
    titles, keys = ["part or rule", "actual FPR", "recall", "F1"], ["recall", "f1"]
    if any(row["novel_recall"] is not None for row in rows.values()):
        titles.insert(3, "novel recall")
        keys.insert(1, "novel_recall")
    if moved is not None:
        titles += ["re-homed FPR", "recall", "F1"]
    headings = tuple(Heading(title, numeric=i > 0) for i, title in enumerate(titles))
    cells = []
    for title, row in rows.items():
        own = [percent(row["fpr"]), *(number(row[key]) for key in keys)]
        if moved is not None:
            own += [percent(moved[title]["fpr"]), number(moved[title]["recall"]), number(moved[title]["f1"])]
        cells.append((title, *own))
    return PageTable(f"Parts and rules at a nominal {percent_of(rate)}", headings, tuple(cells))


def pairs(
    rows: Sequence[Mapping[str, Any]], voters: Sequence[str], rate: str, attacks: str = "Attack flows"
) -> PageTable:
    """What each voter finds that others miss, and they of what it misses, among attacks."""
    shown = [row for row in rows if row["one"] != HYBRID and (row["one"] in voters or row["other"] in voters)]
    titles = ("both", "only the first", "only the second", "neither")
    headings = (Heading("members"), *(Heading(title, numeric=True) for title in titles))
    cells = [
        (f"{row['one']}, {row['other']}", *(count(row[key]) for key in ("both", "one only", "other only", "none")))
        for row in shown
    ]
    return PageTable(f"{attacks} found by pairs of members at a nominal {percent_of(rate)}", headings, tuple(cells))


def matrix(rows: Mapping[str, Mapping[str, int]], caption: str, first: str) -> PageTable:
    """Counts by true class and whatever the inner keys are."""
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    headings = (Heading(first), *(Heading(column, numeric=True) for column in columns))
    cells = [(label, *(count(row.get(column, 0)) for column in columns)) for label, row in rows.items()]
    return PageTable(caption, headings, tuple(cells))


def deletion(rates: Mapping[str, Any], hosts: int) -> PageTable:
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
    return PageTable("Alerts that clear when three reasons, or others, are restored", headings, tuple(cells))


def at_equal_alarms(rows: Mapping[str, Any]) -> PageTable:
    """The hybrid beside each other member at as many false alarms as the hybrid made, novel recall in brackets."""
    names = list(next(iter(rows.values()))["members"])
    headings = (Heading("nominal"), *(Heading(title, numeric=True) for title in ("false alarms", HYBRID, *names)))
    cells, novel_told = [], False
    for rate, row in rows.items():
        told = {HYBRID: row["hybrid"], **row["members"]}
        novel = row["novel"] or {}
        novel_told |= novel.get(HYBRID) is not None
        texts = [
            number(recall) + ("" if novel.get(name) is None else f" ({number(novel[name])})")
            for name, recall in told.items()
        ]
        cells.append((percent_of(rate), count(row["false_alarms"]), *texts))
    caption = "Recall at no more false alarms than the hybrid made: a threshold that could not have been set beforehand"
    if novel_told:
        caption += "; in brackets of novel attacks"
    return PageTable(caption, headings, tuple(cells))


def fingerprints(rows: Sequence[Mapping[str, Any]]) -> PageTable | None:
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
    return PageTable(
        "Figures stored in the bundle, measured when it was fitted (mean ± deviation)", headings, tuple(cells)
    )


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


def ranged_share(row: Mapping[str, Any]) -> str:
    """A class's recall with its interval."""
    low, high = row["interval"]
    return f"{number(row['recall'])} [{low:.2f}–{high:.2f}]"


def _spread(row: Mapping[str, Any], form: Any) -> str:
    deviation = row["deviation"]
    return str(form(row["mean"])) + ("" if deviation is None else f" ± {form(deviation)}")
