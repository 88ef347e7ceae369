"""How the parts of the hybrid add up: verdicts by true class, who agrees with whom, and what each part is worth.

All of it at stored thresholds. The one exception says so: `at_equal_false_alarms` reads other members' recall off their
curves at the false alarms that the hybrid really made, which no one could have set beforehand.
"""

from collections import Counter
from typing import Any

import numpy as np

from models.fusion import ATTACK, BENIGN, UNCERTAIN, VERDICTS
from training.arrays import Mask
from training.datasets.texts import counted_texts, texts_in
from training.evaluation.figures import attacks, confusion, interval, novel_recall, rate_name, rounded, shares
from training.evaluation.intervals import wilson
from training.evaluation.scored import ScoredRows
from training.measure import HYBRID

UNION = "union of the voters"
CASCADE = "cascade"


def decisions(scored: ScoredRows, rate: float) -> dict[str, dict[str, int]]:
    """Flows of each true class by verdict."""
    verdict = scored.verdicts[rate]
    told = {v: _by_class(scored, verdict == v) for v in (BENIGN, UNCERTAIN, ATTACK)}
    return {label: {VERDICTS[v]: own[label] for v, own in told.items()} for label in _classes(scored)}


def named_families(scored: ScoredRows, rate: float) -> dict[str, dict[str, int]]:
    """Flows that the known lane calls attacks, by true class and by the name it gives them."""
    known = scored.verdicts[rate] == ATTACK
    rows = {}
    for label in _classes(scored):
        named = np.bincount(scored.named[known & (scored.label == label)], minlength=len(scored.labels))
        rows[str(label)] = {name: int(count) for name, count in zip(scored.labels, named, strict=True) if count}
    return rows


def lane_agreement(scored: ScoredRows, rate: float) -> dict[str, dict[str, int]]:
    """Flows of each true class by the lanes that speak, each within its share of the budget."""
    cuts = scored.cuts[rate]
    known, novel = scored.p_known < cuts[0], scored.p_novel < cuts[1]
    spoken = {"both": known & novel, "known only": known & ~novel, "novel only": ~known & novel}
    spoken["none"] = ~(known | novel)
    told = {name: _by_class(scored, mask) for name, mask in spoken.items()}
    return {label: {name: own[label] for name, own in told.items()} for label in _classes(scored)}


def pairs(scored: ScoredRows, rate: float) -> list[dict[str, Any]]:
    """Each pair of members on the attacks, each with the whole rate: found by both, by one alone, by neither."""
    attack = attacks(scored)
    found = {name: scored.found(name, rate)[attack] for name in scored.members}
    names = list(found)
    rows = []
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            a, b = found[one], found[other]
            both, first, second = int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum())
            none = int((~a & ~b).sum())
            rows.append(
                {"one": one, "other": other, "both": both, "one only": first, "other only": second, "none": none}
            )
    return rows


def ablation(scored: ScoredRows, rate: float) -> dict[str, dict[str, Any]]:
    """What is left of the hybrid without its parts, and what the original's rule makes of the same parts.

    Voters, and lanes of several voters, alone have the whole rate to spend; lanes is the hybrid. cascade: the novel
    lane first, the known lane on what it flags, both at the whole rate. union: any voter at the whole rate, which costs
    the sum of their false alarms and is what no fusion within the budget can exceed by much.
    """
    masks = {name: scored.found(name, rate) for name in scored.voters}
    masks |= {f"{name} alone": p < rate for name, p in scored.lanes_of_several.items()}
    masks["lanes (the hybrid)"] = scored.found(HYBRID, rate)
    masks[CASCADE] = scored.p_cascade < rate
    masks[UNION] = np.any([scored.found(name, rate) for name in scored.voters], axis=0)
    return {name: _cost_and_gain(scored, mask) for name, mask in masks.items()}


def at_equal_false_alarms(scored: ScoredRows, rate: float) -> dict[str, Any]:
    """Recall of each other member at no more false alarms than the hybrid made at this rate; best: the highest."""
    attack = attacks(scored)
    alarms = int((scored.found(HYBRID, rate) & ~attack).sum())
    recalls: dict[str, float | None] = {}
    novel: dict[str, float | None] = {HYBRID: novel_recall(scored, scored.found(HYBRID, rate))}
    for name in scored.members:
        if name == HYBRID:
            continue
        score = scored.scores[name]
        normal = np.sort(score[~attack])[::-1]
        cut = normal[alarms] if alarms < len(normal) else -np.inf
        recalls[name] = rounded(float((score[attack] > cut).mean()))
        novel[name] = novel_recall(scored, score > cut)
    own = rounded(float(scored.found(HYBRID, rate)[attack].mean()))
    best = max(recalls, key=lambda name: recalls[name] or 0.0, default=None)
    told = None if scored.novel is None else novel
    return {"false_alarms": alarms, "hybrid": own, "members": recalls, "best": best, "novel": told}


def combined(scored: ScoredRows) -> dict[str, Any]:
    """All of this module at every stored rate, for the JSON."""
    parts = {
        "decisions": decisions,
        "named": named_families,
        "lane_agreement": lane_agreement,
        "agreement": pairs,
        "ablation": ablation,
        "at_equal_false_alarms": at_equal_false_alarms,
    }
    return {key: {rate_name(rate): part(scored, rate) for rate in scored.rates} for key, part in parts.items()}


def _cost_and_gain(scored: ScoredRows, found: Mask) -> dict[str, Any]:
    attack = attacks(scored)
    cells = confusion(found, attack)
    figures = shares(cells)
    normal, n = int((~attack).sum()), int(attack.sum())
    return {
        **{key: figures[key] for key in ("fpr", "recall", "precision", "f1")},
        "novel_recall": novel_recall(scored, found),
        "fpr_interval": interval(wilson(cells["fp"], normal)),
        "recall_interval": interval(wilson(cells["tp"], n)),
    }


def _classes(scored: ScoredRows) -> list[str]:
    """Labels of the table, normal traffic first."""
    attack = attacks(scored)
    return [*texts_in(scored.label[~attack]).tolist(), *texts_in(scored.label[attack]).tolist()]


def _by_class(scored: ScoredRows, chosen: Mask) -> Counter[str]:
    """How many of the chosen flows have each label."""
    names, counts = counted_texts(scored.label[chosen])
    return Counter(dict(zip(names.tolist(), counts.tolist(), strict=True)))
