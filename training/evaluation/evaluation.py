"""The whole of an evaluation: bundle and dataset in, figures out, as JSON and as what a report is drawn from."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from flows.columns import INDEX, feature_contract
from models.attribution import top_columns
from models.baselines import Baselines, load_baselines
from models.bundle import BundleError, load_bundle
from models.fusion import Hybrid
from training.datasets.collection import read_dataset
from training.datasets.table import FlowTable, require_normal_and_attacks
from training.errors import DatasetError
from training.evaluation.agreement import combined
from training.evaluation.curves import Curve
from training.evaluation.deletion import Explain, deletion
from training.evaluation.drift import drift_from_profile, drift_from_rows
from training.evaluation.figures import attacks, curves, member_figures, rounded
from training.evaluation.importance import importance, used_columns
from training.evaluation.protocols import (
    Judged,
    Outcome,
    Protocol,
    by_held_out,
    by_leaving_out,
    by_random_split,
    judged,
    own_split,
    refitted,
    stored_epochs,
    stored_recipe,
)
from training.evaluation.scored import Report, Scored
from training.labels import BENIGN

SHARED_HOSTS = 24  # where neither the command nor the bundle's recipe says how many
IMPORTANCE_RATE = 0.01  # at lower ones a subsample's recall hangs on few flows


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be evaluated. hosts: shared ones, None for the recipe's number. days: ISO dates to judge, () for
    all.
    """

    bundle: Path
    dataset: Path
    protocol: Protocol
    hosts: int | None
    seed: int
    days: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """content: the JSON. outcome: the scored flows behind it; curves: of each member, as they stand and re-homed."""

    content: dict[str, Any]
    outcome: Outcome
    curves: dict[str, Curve]
    rehomed_curves: dict[str, Curve]


def evaluate(question: Question, report: Report, explain: Explain = top_columns) -> Evaluation:
    """Judge the dataset by the bundle.

    explain: names the columns behind an alert, for the deletion test. Raises BundleError, DatasetError.
    """
    hybrid = load_bundle(question.bundle, feature_contract())
    baselines = load_baselines(question.bundle, feature_contract())
    table = read_dataset(question.dataset, report)
    require_normal_and_attacks(table)
    _refuse_missing(question.dataset, table, hybrid)
    outcome = _outcome(question, hybrid, baselines, table, report)
    whole = outcome.whole
    family, subject = _one_fit(outcome)
    report("curves and figures")
    drawn = {name: curves(told, question.seed) for name, told in _arrangements(whole)}
    content = {
        **_head(question, hybrid, table, outcome),
        "members": member_figures(whole.as_is, drawn["as is"]),
        **combined(whole.as_is),
        "rehomed": {
            "hosts": _hosts(question, hybrid),
            "seed": question.seed,
            "members": member_figures(whole.rehomed, drawn["re-homed"]),
            **combined(whole.rehomed),
        },
        "left_out": {family: _left_out(own, question.seed) for family, own in outcome.left_out.items()},
        "drift": _drift(whole),
        "importance": {"left_out": family, **_importance(subject, question.seed, report)},
        "deletion": {"left_out": family, **_deletion(subject, explain, question.seed, report)},
    }
    return Evaluation(content, outcome, drawn["as is"], drawn["re-homed"])


def _outcome(
    question: Question, hybrid: Hybrid, baselines: Baselines | None, table: FlowTable, report: Report
) -> Outcome:
    hosts = _hosts(question, hybrid)
    chosen = _of_days(question, table)
    if question.protocol == "random":
        recipe = None if question.days else own_split(hybrid, table)
        if recipe is not None:
            return by_held_out((hybrid, baselines), recipe, table, hosts, question.seed, report)
        return by_random_split(stored_recipe(hybrid), chosen, hosts, question.seed, report)
    if question.protocol == "leave-one-out":
        fitted = partial(refitted, epochs=stored_epochs(hybrid))
        return by_leaving_out(stored_recipe(hybrid), chosen, hosts, question.seed, report, fitted)
    known, notes = _seen_before(hybrid, table, chosen)
    return Outcome(judged((hybrid, baselines), chosen, hosts, question.seed, report, known), notes=notes)


def _of_days(question: Question, table: FlowTable) -> FlowTable:
    """The flows to be judged: both kinds, or nothing can be said."""
    if not question.days:
        return table
    missing = [day for day in question.days if not (table.day == day).any()]
    if missing:
        there = ", ".join(np.unique(table.day))
        raise DatasetError(question.dataset, f"has no flows of {', '.join(missing)}; its days are {there}")
    table = table.take(np.isin(table.day, question.days))
    families = [str(family) for family in np.unique(table.family)]
    if BENIGN not in families or len(families) < 2:
        found = f"has flows of {', '.join(families)} only on {', '.join(question.days)}"
        raise DatasetError(question.dataset, f"{found}; expected normal traffic and attacks")
    return table


def _refuse_missing(dataset: Path, table: FlowTable, hybrid: Hybrid) -> None:
    lacking = [name for name in used_columns(hybrid) if name in table.missing]
    if lacking:
        raise DatasetError(dataset, f"lacks columns that the bundle was fitted on: {', '.join(lacking)}")


def _hosts(question: Question, hybrid: Hybrid) -> int:
    if question.hosts is not None:
        return question.hosts
    try:
        return stored_recipe(hybrid).hosts.shared
    except BundleError:
        return SHARED_HOSTS


def _seen_before(hybrid: Hybrid, table: FlowTable, chosen: FlowTable) -> tuple[FlowTable | None, tuple[str, ...]]:
    """Normal flows of this very file that the bundle was fitted on, and warnings where judged flows are among them."""
    dataset, days = hybrid.about.get("dataset"), hybrid.about.get("days")
    if not isinstance(dataset, dict) or dataset.get("sha256") != table.sha256:
        return None, ()
    if not isinstance(days, dict):
        return None, ("the bundle was fitted on flows drawn from all of this file: it may only remember what it finds",)
    listed = days.get("fit")
    fitted, calibrated = [str(day) for day in listed] if isinstance(listed, list) else [], str(days.get("calibrated"))
    again = np.isin(chosen.day, fitted)
    last = chosen.day == calibrated
    notes = []
    if again.any():
        notes.append(
            f"{again.sum():,} of the {len(chosen):,} judged flows lie on days that the bundle was fitted on "
            f"({', '.join(fitted)}): what it finds there it may only remember"
        )
    if days.get("its_attacks_are_fitted") and (last & (chosen.family != BENIGN)).any():
        notes.append(f"the attacks of {calibrated} were fitted on as well: that they are found says nothing")
    held_back = int((last & (chosen.family == BENIGN)).sum())
    if held_back:
        notes.append(
            f"{held_back:,} judged normal flows are of {calibrated}, whose normal traffic set the thresholds: "
            "actual rates near the nominal ones are no merit there"
        )
    known = np.flatnonzero(np.isin(table.day, fitted) & (table.family == BENIGN))
    return (table.take(known) if len(known) else None), tuple(notes)


def _head(question: Question, hybrid: Hybrid, table: FlowTable, outcome: Outcome) -> dict[str, Any]:
    whole = outcome.whole
    warnings = hybrid.about.get("warnings", [])
    return {
        "protocol": question.protocol,
        "inflated": question.protocol == "random",
        "n": len(whole.table),
        "prevalence": rounded(float((whole.table.family != BENIGN).mean())),
        "seed": question.seed,
        "bundle": {
            "model_id": hybrid.model_id,
            "sha256": hybrid.sha256,
            "default_rate": hybrid.default_rate,
            "warnings": [str(warning) for warning in warnings] if isinstance(warnings, list) else [],
        },
        "dataset": {
            "file": question.dataset.name,
            "sha256": table.sha256,
            "days": {str(day): _counts(whole.table, day) for day in np.unique(whole.table.day)},
            "repairs": dict(table.repairs),
        },
        "notes": list(outcome.notes),
    }


def _counts(table: FlowTable, day: str) -> dict[str, int]:
    labels, counts = np.unique(table.label[table.day == day], return_counts=True)
    return {str(label): int(count) for label, count in zip(labels, counts, strict=True)}


def _arrangements(own: Judged) -> tuple[tuple[str, Scored], ...]:
    return (("as is", own.as_is), ("re-homed", own.rehomed))


def _one_fit(outcome: Outcome) -> tuple[str | None, Judged]:
    """What to look into: of several fits the one that was kept from the most flows, and the family they are of."""
    if not outcome.left_out:
        return None, outcome.whole
    return max(outcome.left_out.items(), key=lambda item: len(item[1].table))


def _left_out(own: Judged, seed: int) -> dict[str, Any]:
    content: dict[str, Any] = {"n": len(own.as_is), "prevalence": rounded(float(attacks(own.as_is).mean()))}
    content["members"] = member_figures(own.as_is, curves(own.as_is, seed))
    content["rehomed"] = {"members": member_figures(own.rehomed, curves(own.rehomed, seed))}
    return content


def _drift(own: Judged) -> dict[str, Any]:
    hybrid = own.model[0]
    columns = used_columns(hybrid)
    index = np.array([INDEX[name] for name in columns])
    normal = own.table.take(own.table.family == BENIGN).values
    if own.known is not None:
        against = "normal flows of the training days"
        return {"against": against, "columns": drift_from_rows(columns, index, own.known.values, normal)}
    against = "the bundle's stored quantiles of normal traffic"
    return {"against": against, "columns": drift_from_profile(hybrid.normal, index, normal)}


def _importance(own: Judged, seed: int, report: Report) -> dict[str, Any]:
    report("importance of columns")
    rates = own.as_is.rates
    rate = min(rates, key=lambda rate: abs(rate - IMPORTANCE_RATE))
    return importance(own.model[0], own.table, rate, seed, report)


def _deletion(own: Judged, explain: Explain, seed: int, report: Report) -> dict[str, Any]:
    report("deletion test")
    candidates = np.array([INDEX[name] for name in used_columns(own.model[0])])
    return deletion(own.model[0], own.table, own.table.host, candidates, explain, seed)
