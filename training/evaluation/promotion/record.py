"""A comparison as JSON: what --json prints, and what a promoted bundle keeps of why it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.fusion import Hybrid
from training.evaluation.promotion.comparison import (
    FALSE_MARGIN,
    LATENCY_MARGIN,
    MEASURES,
    RECALL_MARGIN,
    ClassResult,
    Comparison,
    results,
)
from training.evaluation.promotion.paired import Pairs, of_counts, of_flags
from training.evaluation.promotion.trials import Trial


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a challenger."""

    refusals: Sequence[str]  # of contract and comparison, a line each
    forced: bool  # whether it was promoted in spite of them
    why: str  # what whoever forced it said
    date: str  # ISO 8601, UTC
    version: str  # of flowvigil
    rate: float  # nominal false-positive rate by whose thresholds both were judged

    @property
    def promoted(self) -> bool:
        """Whether it takes the champion's place."""
        return self.forced or not self.refusals


def promotion_record(models: tuple[Hybrid, Hybrid], comparison: Comparison, decision: Decision) -> dict[str, Any]:
    """Everything that the decision rests on. models: champion and challenger."""
    champion, challenger = (_bundle(model) for model in models)
    return {
        "promoted": decision.promoted,
        "forced": decision.forced,
        "why": decision.why,
        "date": decision.date,
        "version": decision.version,
        "champion": champion,
        "challenger": challenger,
        "rate": decision.rate,
        "margins": {"recall": RECALL_MARGIN, "false_alert_hours": FALSE_MARGIN, "latency": LATENCY_MARGIN},
        "data": [_data(trial) for trial in comparison.trials],
        "classes": [_class(own) for own in comparison.classes],
        "false_alert_hours": _pairs(comparison.hours),
        "latency": {
            "records": comparison.latency.records,
            "champion_us": round(comparison.latency.champion_ns / 1e3, 3),
            "challenger_us": round(comparison.latency.challenger_ns / 1e3, 3),
            "ratio": round(comparison.latency.ratio, 3),
            "interval": [round(end, 3) for end in comparison.latency.interval],
        },
        "refusals": list(decision.refusals),
    }


def _bundle(hybrid: Hybrid) -> dict[str, str]:
    return {"model_id": hybrid.model_id, "sha256": hybrid.sha256, "manifest_sha256": hybrid.manifest_sha256}


def _data(trial: Trial) -> dict[str, Any]:
    before, after = trial.false_alerts
    return {
        "name": trial.name,
        "sha256": trial.sha256,
        "captures": trial.captures,
        "episodes": len(trial.episodes),
        "champion_false_alerts": before,
        "challenger_false_alerts": after,
        "false_alert_hours": _pairs(of_counts(trial.hours)),
    }


def _class(own: ClassResult) -> dict[str, Any]:
    told: dict[str, Any] = {"class": own.family, "in_fixed_set": own.in_fixed_set}
    for measure in MEASURES:
        pairs = results(own.episodes, measure)
        champion, challenger = sum(old for old, _ in pairs), sum(new for _, new in pairs)
        told[measure] = {"champion": champion, "challenger": challenger, **_pairs(of_flags(pairs))}
    return told


def _pairs(pairs: Pairs) -> Mapping[str, Any]:
    low, high = pairs.interval
    return {"n": pairs.n, "worse": pairs.worse, "better": pairs.better, "interval": [round(low, 4), round(high, 4)]}
