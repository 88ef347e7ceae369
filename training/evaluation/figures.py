"""Figures of each member: what it finds and what it costs, at the thresholds that the bundle brought along.

Areas under curves need no threshold and say nothing of one; all other figures are of the stored thresholds. Precision
and F1 hold for the share of attacks in this table (prevalence) alone: on a network with fewer, both are lower.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from models.detector import Vector
from training.arrays import Int64s, Mask, Strings
from training.datasets.texts import coded_texts
from training.evaluation.curves import Curve, curve
from training.evaluation.intervals import FEW, wilson
from training.evaluation.scored import ScoredRows
from training.labels import BENIGN
from training.measure import HYBRID

HYBRID_RULE = "verdict at the default rate; the hybrid's score is no probability"
PROBABILITY_RULE = "score >= 0.5"
NO_PROBABILITY = "score is no probability"
DIGITS = 6
NOMINAL_GRID = np.geomspace(2e-4, 0.5, 60)


def attacks(scored: ScoredRows) -> Mask:
    """Which flows are attacks."""
    mask: Mask = scored.family != BENIGN
    return mask


def curves(scored: ScoredRows, seed: int) -> dict[str, Curve]:
    """Curves of each member."""
    attack = attacks(scored)
    return {name: curve(score, attack, seed) for name, score in scored.scores.items()}


def member_figures(scored: ScoredRows, drawn: dict[str, Curve]) -> dict[str, Any]:
    """The members block of the JSON; drawn: their curves, for the intervals of the areas."""
    attack = attacks(scored)
    labels, families = coded_texts(scored.label), coded_texts(scored.family)
    members = {}
    for name, score in scored.scores.items():
        members[name] = {
            "kind": _kind(scored, name),
            "auc": rounded(roc_auc_score(attack, score)),
            "auc_interval": interval(drawn[name].auc),
            "pr_auc": rounded(average_precision_score(attack, score)),
            "pr_auc_interval": interval(drawn[name].pr_auc),
            "at_0.5": _at_half(scored, name, attack),
            "rates": {rate_name(rate): _at_rate(scored, name, rate, labels, families) for rate in scored.rates},
        }
    return members


def confusion(found: Mask, attack: Mask) -> dict[str, int]:
    """True and false positives and negatives, in flows."""
    return {
        "tp": int((found & attack).sum()),
        "fp": int((found & ~attack).sum()),
        "fn": int((~found & attack).sum()),
        "tn": int((~found & ~attack).sum()),
    }


def shares(cells: dict[str, int]) -> dict[str, float | None]:
    """Accuracy, precision, recall, F1 and false-positive rate of a confusion matrix; None where nothing is divided."""
    tp, fp, fn, tn = (cells[key] for key in ("tp", "fp", "fn", "tn"))
    return {
        "accuracy": _share(tp + tn, tp + fp + fn + tn),
        "precision": _share(tp, tp + fp),
        "recall": _share(tp, tp + fn),
        "f1": _share(2 * tp, 2 * tp + fp + fn),
        "fpr": _share(fp, fp + tn),
    }


def novel_recall(scored: ScoredRows, found: Mask, rows: Mask | None = None) -> float | None:
    """Share found of the attacks, or of those among some rows, whose type the fit had none of; None of nothing."""
    if scored.novel is None:
        return None
    own = scored.novel if rows is None else scored.novel & rows
    return _share(int((found & own).sum()), int(own.sum()))


def per_class(found: Mask, classes: tuple[Strings, Int64s], attack: Mask) -> dict[str, Any]:
    """Recall of each class of attack with its flows; classes of few flows are marked. classes: as coded_texts."""
    rows: dict[str, Any] = {}
    names, code = classes
    counts = [np.bincount(own, minlength=len(names)).tolist() for own in (code[attack], code, code[found])]
    for name, attacks_of_it, n, hits in zip(names.tolist(), *counts, strict=True):
        if not attacks_of_it:
            continue
        rows[str(name)] = {"n": n, "recall": _share(hits, n), "interval": interval(wilson(hits, n)), "few": n < FEW}
    return rows


def rate_name(rate: float) -> str:
    """A nominal rate as a key: "0.001"."""
    return f"{rate:g}"


def rounded(value: float | None) -> float | None:
    """For JSON: more digits than any number of flows can carry."""
    return None if value is None or not np.isfinite(value) else round(float(value), DIGITS)


def interval(ends: tuple[float, float] | None) -> list[float | None] | None:
    """The ends of an interval, rounded, as JSON has them."""
    return None if ends is None else [rounded(end) for end in ends]


def _kind(scored: ScoredRows, name: str) -> str:
    if name == HYBRID:
        return "hybrid"
    return "baseline" if name in scored.baselines else "voter"


def _at_half(scored: ScoredRows, name: str, attack: Mask) -> dict[str, Any]:
    if name == HYBRID:
        found, rule = scored.found(name, scored.default_rate), HYBRID_RULE
    elif name in scored.probabilities:
        found, rule = scored.scores[name] >= 0.5, PROBABILITY_RULE
    else:
        nothing = dict.fromkeys(("accuracy", "precision", "recall", "f1", "fpr", "novel_recall"))
        return {**nothing, "rule": NO_PROBABILITY}
    return {**shares(confusion(found, attack)), "novel_recall": novel_recall(scored, found), "rule": rule}


def _at_rate(
    scored: ScoredRows,
    name: str,
    rate: float,
    labels: tuple[Strings, Int64s],
    families: tuple[Strings, Int64s],
) -> dict[str, Any]:
    found, attack = scored.found(name, rate), attacks(scored)
    cells = confusion(found, attack)
    normal = cells["fp"] + cells["tn"]
    false = wilson(cells["fp"], normal)
    content: dict[str, Any] = {"threshold": rounded(rate)}
    if name == HYBRID:
        known, novel = scored.cuts[rate]
        content = {"threshold": rounded(known + novel), "lanes": {"known": rounded(known), "novel": rounded(novel)}}
    else:
        content["score_threshold"] = rounded(scored.score_cuts[name][rate])
    figures = shares(cells)
    return {
        **content,
        **{key: figures[key] for key in ("fpr", "recall", "precision", "f1", "accuracy")},
        "novel_recall": novel_recall(scored, found),
        "fpr_interval": interval(false),
        "recall_interval": interval(wilson(cells["tp"], cells["tp"] + cells["fn"])),
        "ratio": None if figures["fpr"] is None else rounded(figures["fpr"] / rate),
        "ratio_interval": None if false is None else interval((false[0] / rate, false[1] / rate)),
        "confusion": cells,
        "per_class": _with_families(scored, per_class(found, labels, attack), labels),
        "per_family": _with_novel(scored, per_class(found, families, attack), found),
    }


def _with_families(scored: ScoredRows, rows: dict[str, Any], labels: tuple[Strings, Int64s]) -> dict[str, Any]:
    names, code = labels
    for name, row in rows.items():
        first = np.argmax(code == np.searchsorted(names, name))
        row["family"] = str(scored.family[first])
        row["novel"] = None if scored.novel is None else bool(scored.novel[first])
    return rows


def _with_novel(scored: ScoredRows, rows: dict[str, Any], found: Mask) -> dict[str, Any]:
    for name, row in rows.items():
        row["novel_recall"] = None if scored.novel is None else novel_recall(scored, found, scored.family == name)
    return rows


def unsupervised(scored: ScoredRows, members: Sequence[str]) -> dict[str, Any]:
    """What the lane that learnt normal rows alone finds and flags with the whole rate to spend.

    members: the detectors of that lane.
    """
    attack = attacks(scored)
    rates = {}
    for rate in scored.rates:
        found = scored.p_novel < rate
        cells = confusion(found, attack)
        rates[rate_name(rate)] = {
            "detection_rate": shares(cells)["recall"],
            "detection_rate_interval": interval(wilson(cells["tp"], cells["tp"] + cells["fn"])),
            "novel_detection_rate": novel_recall(scored, found),
            "fpr": shares(cells)["fpr"],
            "fpr_interval": interval(wilson(cells["fp"], cells["fp"] + cells["tn"])),
        }
    return {"members": list(members), "rates": rates}


def _share(part: int, whole: int) -> float | None:
    return rounded(part / whole) if whole else None


def nominal_actual(scored: ScoredRows) -> dict[str, Vector]:
    """Actual share of normal flows below each p-value of NOMINAL_GRID, of each voter, baseline and lane."""
    normal = ~attacks(scored)
    told = {**scored.p_values, **scored.lanes_of_several}
    return {
        name: np.searchsorted(np.sort(p[normal]), NOMINAL_GRID, side="left") / max(int(normal.sum()), 1)
        for name, p in told.items()
    }
