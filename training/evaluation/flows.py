"""Evaluation of flows: which of a dataset's flows are judged, by which fits, and what of them was known before."""

from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from models.baselines import Baselines
from models.bundle import BundleError
from models.fusion import Hybrid
from training.datasets.collection import read_dataset
from training.datasets.table import FlowTable, require_normal_and_attacks
from training.datasets.texts import texts_in
from training.errors import DatasetError
from training.evaluation.outcome import Outcome
from training.evaluation.protocols import (
    by_held_out,
    by_leaving_out,
    by_random_split,
    judged,
    own_split,
    refitted,
    stored_epochs,
    stored_recipe,
)
from training.evaluation.question import Question
from training.labels import BENIGN
from training.reporting import Report

LISTED = 8  # columns in a message
JUDGED_INSTEAD = (
    "of public files it can judge the corrected CIC-IDS-2017 and CSE-CIC-IDS2018 (Liu et al. 2022); flowvigil train "
    "fits a model on such a file by the columns that it has"
)
MASKED = (
    "what hosts did before a flow is not in the dataset: {} columns that say so are masked, and the bundle judges by "
    "the others"
)
SHARED_HOSTS = 24  # where neither the command nor the bundle's recipe says how many


def flows_outcome(question: Question, hybrid: Hybrid, baselines: Baselines | None, report: Report) -> Outcome:
    """Judge the flows of a dataset as the protocol says. Raises BundleError, DatasetError, LabelMapError.

    Raises ModuleNotFoundError where the protocol has to fit and TensorFlow is not installed.
    """
    if question.protocol != "time" and find_spec("tensorflow") is None:
        raise ModuleNotFoundError("no fit without TensorFlow", name="tensorflow")
    try:
        table = read_dataset(question.dataset, report, question.labels)
    except DatasetError as error:
        error.args = (f"{error} ({hybrid.model_id} judges flows)",)
        raise
    require_normal_and_attacks(table)
    _refuse_missing(question.dataset, table, hybrid)
    outcome = _outcome(question, hybrid, baselines, table, report)
    if masked := len([name for name in hybrid.maskable if name not in hybrid.normal.columns[: table.values.shape[1]]]):
        outcome = replace(outcome, notes=(MASKED.format(masked), *outcome.notes))
    if not table.left_out:
        return outcome
    return replace(outcome, notes=(f"the dataset has {table.left_out}", *outcome.notes), hosts=None)


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
    return Outcome(judged((hybrid, baselines), chosen, hosts, question.seed, report, known), notes=notes, hosts=hosts)


def _of_days(question: Question, table: FlowTable) -> FlowTable:
    """The flows to be judged: both kinds, or nothing can be said."""
    if not question.days:
        return table
    if not table.has_times:
        raise DatasetError(question.dataset, "has no start times; expected times of flows for --day to choose by")
    missing = [day for day in question.days if not (table.day == day).any()]
    if missing:
        there = ", ".join(texts_in(table.day))
        raise DatasetError(question.dataset, f"has no flows of {', '.join(missing)}; its days are {there}")
    table = table.take(np.isin(table.day, question.days))
    families = [str(family) for family in texts_in(table.family)]
    if BENIGN not in families or len(families) < 2:
        found = f"has flows of {', '.join(families)} only on {', '.join(question.days)}"
        raise DatasetError(question.dataset, f"{found}; expected normal traffic and attacks")
    return table


def _refuse_missing(dataset: Path, table: FlowTable, hybrid: Hybrid) -> None:
    used = [hybrid.normal.columns[at] for at in hybrid.seen]
    there = hybrid.normal.columns[: table.values.shape[1]]
    lacking = [name for name in used if name in table.missing or name not in (*there, *hybrid.maskable)]
    if lacking:
        raise DatasetError(
            dataset,
            f"lacks columns that {hybrid.model_id} was fitted on, or has them as a program measured them that errs "
            f"there: {', '.join(lacking[:LISTED])}{' and others' if len(lacking) > LISTED else ''}; {JUDGED_INSTEAD}",
        )


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
