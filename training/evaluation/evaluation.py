"""The whole of an evaluation: bundle and dataset in, figures out, as JSON and as what a report is drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.columns import feature_contract
from flows.context.columns import context_contract
from flows.kdd.columns import kdd_contract
from models.attribution import top_columns
from models.baselines import Baselines, load_baselines
from models.bundle import load_bundle
from models.fusion import Hybrid
from models.signature import PublicKey
from training.datasets.names import file_name
from training.datasets.rows import taken
from training.datasets.table import FlowTable
from training.datasets.texts import counted_texts, texts_in
from training.evaluation.agreement import at_equal_false_alarms, combined
from training.evaluation.curves import Curve
from training.evaluation.deletion import Explain, deletion
from training.evaluation.drift import drift_from_profile, drift_from_rows
from training.evaluation.figures import attacks, curves, member_figures, rate_name, rounded, unsupervised
from training.evaluation.flows import flows_outcome
from training.evaluation.importance import importance
from training.evaluation.kdd import records_outcome
from training.evaluation.outcome import Judged, JudgedTable, Model, Outcome
from training.evaluation.protocols import drawn_part, rehomed_hosts, stored_recipe
from training.evaluation.question import Question, QuestionError
from training.label_map import recorded
from training.labels import BENIGN
from training.reporting import Report

FLOWS = (feature_contract(), context_contract())
CONTRACTS = (*FLOWS, kdd_contract(content=True), kdd_contract(content=False))
FITTED_RECORDS = "the normal records that were fitted on"
IMPORTANCE_RATE = 0.01  # at lower ones a subsample's recall hangs on few flows


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What is known of a bundle on a dataset, as JSON and as what a report is drawn from."""

    content: dict[str, Any]  # the JSON
    outcome: Outcome  # the scored rows behind it
    curves: dict[str, Curve]  # of each member, as they stand and re-homed
    rehomed_curves: dict[str, Curve] | None


def evaluate(question: Question, report: Report, explain: Explain = top_columns) -> Evaluation:
    """Judge the dataset by the bundle.

    explain: names the columns behind an alert, for the deletion test. Raises BundleError, DatasetError, QuestionError,
    and ModuleNotFoundError where a fit needs a package that is not there.
    """
    hybrid, baselines = _model(question.bundle, question.keys)
    other = None if question.beside is None else _other(question, question.beside, hybrid)
    outcome = _outcome(question, hybrid, baselines, report)
    whole = outcome.whole
    left_out, subject = _one_fit(outcome)
    report("curves and figures")
    drawn = curves(whole.as_is, question.seed)
    moved = None if whole.rehomed is None else curves(whole.rehomed, question.seed)
    content = {
        **_head(question, hybrid, outcome),
        "members": member_figures(whole.as_is, drawn),
        **combined(whole.as_is),
        "rehomed": _rehomed(question, outcome, moved),
        "left_out": {name: _left_out(own, question.seed) for name, own in outcome.left_out.items()},
        "drift": _drift(whole),
        "importance": {"left_out": left_out, **_importance(subject, question.seed, report)},
        "deletion": _deletion(left_out, subject, explain, outcome.hosts, question.seed, report),
        "unsupervised": _unsupervised(hybrid, whole),
        "novel_choice": None if outcome.novel_choice is None else outcome.novel_choice.as_dict(),
        "beside": None if other is None else _beside(question, hybrid, whole.table, other, report),
    }
    return Evaluation(content, outcome, drawn, moved)


def _model(bundle: Path, keys: Sequence[PublicKey]) -> tuple[Hybrid, Baselines | None]:
    hybrid = load_bundle(bundle, *CONTRACTS, keys=keys)
    return hybrid, load_baselines(bundle, hybrid, keys=keys)


def _outcome(question: Question, hybrid: Hybrid, baselines: Baselines | None, report: Report) -> Outcome:
    """By the rows that the bundle was fitted on: flows, or connection records."""
    judge = flows_outcome if hybrid.contract in FLOWS else records_outcome
    return judge(question, hybrid, baselines, report)


def _head(question: Question, hybrid: Hybrid, outcome: Outcome) -> dict[str, Any]:
    table = outcome.whole.table
    warnings = hybrid.about.get("warnings", [])
    return {
        "protocol": question.protocol,
        "inflated": question.protocol == "random",
        "n": len(table),
        "prevalence": rounded(float((table.family != BENIGN).mean())),
        "seed": question.seed,
        "bundle": {
            "model_id": hybrid.model_id,
            "sha256": hybrid.sha256,
            "default_rate": hybrid.default_rate,
            "warnings": [str(warning) for warning in warnings] if isinstance(warnings, list) else [],
        },
        "dataset": {
            "file": file_name(question.dataset),
            "sha256": table.sha256,
            "days": _days(table),
            "repairs": dict(table.repairs),
            **recorded(table.label_map),
        },
        "notes": list(outcome.notes),
        "records": _records(hybrid, outcome),
    }


def _days(table: JudgedTable) -> dict[str, dict[str, int]] | None:
    """Flows by day and label; None of records and of flows without times."""
    if not isinstance(table, FlowTable) or not table.has_times:
        return None
    return {str(day): counted(table.label[table.day == day]) for day in texts_in(table.day)}


def _records(hybrid: Hybrid, outcome: Outcome) -> dict[str, Any] | None:
    """What is said of connection records alone; None of flows."""
    table, whole = outcome.whole.table, outcome.whole.as_is
    if isinstance(table, FlowTable):
        return None
    novel = None if whole.novel is None else counted(whole.label[whole.novel])
    content = hybrid.contract == kdd_contract(content=True)
    return {
        "columns": table.values.shape[1],
        "content_columns": content,
        "labels": counted(table.label),
        "novel": novel,
        "also_in_training": outcome.overlap,
    }


def counted(labels: NDArray[np.str_]) -> dict[str, int]:
    """How many rows each label has."""
    found, counts = counted_texts(labels)
    return {str(label): int(count) for label, count in zip(found, counts, strict=True)}


def _one_fit(outcome: Outcome) -> tuple[str | None, Judged]:
    """What to look into: of several fits the one that was kept from the most flows, and the family they are of."""
    if not outcome.left_out:
        return None, outcome.whole
    return max(outcome.left_out.items(), key=lambda item: len(item[1].table))


def _rehomed(question: Question, outcome: Outcome, drawn: dict[str, Curve] | None) -> dict[str, Any] | None:
    moved = outcome.whole.rehomed
    if moved is None or drawn is None:
        return None
    return {
        "hosts": outcome.hosts,
        "seed": question.seed,
        "members": member_figures(moved, drawn),
        **combined(moved),
    }


def _left_out(own: Judged, seed: int) -> dict[str, Any]:
    content: dict[str, Any] = {"n": len(own.as_is), "prevalence": rounded(float(attacks(own.as_is).mean()))}
    content["members"] = member_figures(own.as_is, curves(own.as_is, seed))
    moved = own.rehomed
    content["rehomed"] = None if moved is None else {"members": member_figures(moved, curves(moved, seed))}
    return content


def _unsupervised(hybrid: Hybrid, whole: Judged) -> dict[str, Any] | None:
    """The novel lane alone, of records; None of flows."""
    if isinstance(whole.table, FlowTable) or not hybrid.novel:
        return None
    return unsupervised(whole.as_is, [member.detector.name for member in hybrid.novel])


def _other(question: Question, bundle: Path, hybrid: Hybrid) -> Model:
    """The bundle to stand beside, before hours are spent. Raises BundleError, QuestionError."""
    other, baselines = _model(bundle, question.keys)
    if (other.contract in FLOWS) != (hybrid.contract in FLOWS):
        raise QuestionError(f"{other.model_id} and {hybrid.model_id} judge different rows; expected one kind")
    if question.protocol != "time" and hybrid.contract in FLOWS:
        threads = [stored_recipe(model).lstm.threads for model in (hybrid, other)]
        if threads[0] != threads[1]:
            found = f"{hybrid.model_id} and {other.model_id} are fitted by {threads[0]} and by {threads[1]} threads"
            raise QuestionError(f"{found}, which one process cannot change; expected each without --beside")
    return other, baselines


def _beside(question: Question, hybrid: Hybrid, judged: JudgedTable, model: Model, report: Report) -> dict[str, Any]:
    """What another bundle finds in the same rows by the same protocol. judged: those rows. Raises QuestionError."""
    other, baselines = model
    if question.protocol == "random" and isinstance(judged, FlowTable):
        drawn = [drawn_part(own, judged, question) for own in (hybrid, other)]
        if drawn[0] != drawn[1]:
            found = f"a random split judges {other.model_id} by other flows than {hybrid.model_id}"
            raise QuestionError(f"{found}, by which one of them was fitted; expected another protocol with --beside")
    report(f"the same by {other.model_id}")
    outcome = _outcome(question, other, baselines, report)
    told = outcome.whole.as_is
    return {
        "bundle": {"model_id": other.model_id, "sha256": other.sha256},
        "records": _records(other, outcome),
        "members": member_figures(told, curves(told, question.seed)),
        "at_equal_false_alarms": {rate_name(rate): at_equal_false_alarms(told, rate) for rate in told.rates},
    }


def _drift(own: Judged) -> dict[str, Any]:
    hybrid = own.model[0]
    index = hybrid.seen[hybrid.seen < own.table.values.shape[1]]  # masked columns do not drift
    columns = tuple(hybrid.normal.columns[at] for at in index)
    normal = taken(own.table.values, np.flatnonzero(own.table.family == BENIGN))
    if own.known is not None:
        against = "normal flows of the training days" if isinstance(own.table, FlowTable) else FITTED_RECORDS
        return {"against": against, "columns": drift_from_rows(columns, index, own.known.values, normal)}
    against = "the bundle's stored quantiles of normal traffic"
    return {"against": against, "columns": drift_from_profile(hybrid.normal, index, normal)}


def _importance(own: Judged, seed: int, report: Report) -> dict[str, Any]:
    report("importance of columns")
    rates = own.as_is.rates
    rate = min(rates, key=lambda rate: abs(rate - IMPORTANCE_RATE))
    return importance(own.model[0], own.table, rate, seed, report)


def _deletion(
    left_out: str | None, own: Judged, explain: Explain, shared: int | None, seed: int, report: Report
) -> dict[str, Any] | None:
    """Of flows alone: a record's columns hang on one another too much to be restored one by one."""
    if not isinstance(own.table, FlowTable) or shared is None:
        return None
    report("deletion test")
    hosts = {"as_is": own.table.host, "rehomed": rehomed_hosts(own.table, shared, seed)}
    return {"left_out": left_out, **deletion(own.model[0], own.table, hosts, explain, seed)}
