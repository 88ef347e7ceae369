"""Protocols for connection records: which ones a model is fitted on and which it is judged by.

time: the bundle as it is; of NSL-KDD that is the official protocol where the dataset is the test file. random: a fit by
the bundle's recipe on 70 % of the file, judged on the rest, which is inflated. leave-one-out: each type of attack is
left out of a fit and judged by that fit. Whatever hangs on normal records alone is fitted once for all of those; beside
them the novel lane's forest is compared with other sizes (training.evaluation.novel_choice).
"""

import os
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from flows.kdd.columns import kdd_contract
from models.baselines import Baselines
from models.bundle import BundleError
from models.detector import Vector
from models.fusion import Hybrid
from training.datasets.kdd import KddTable, read_kdd
from training.datasets.kdd_overlap import overlap
from training.datasets.packed import sha256_of
from training.errors import DatasetError, LabelMapError
from training.evaluation.novel_choice import compared
from training.evaluation.outcome import INFLATED, Judged, Model, Outcome, recipe_of
from training.evaluation.question import Question, QuestionError
from training.evaluation.records import scored_records, seen_by_bundle
from training.evaluation.scored import ScoredRows
from training.fit.kdd import baselines_of, fit_novel, hybrid_of, prepared
from training.label_map import LabelMap, recorded_map
from training.labels import BENIGN, names_attacks
from training.recipe import KddRecipe
from training.reporting import Report
from training.splits import random_split

TEST_SHARE = 0.3
# Of leave-one-out: two dozen fits, each with its folds, have to be over in minutes.
JUDGED_NORMAL = 0.2
MOST_NORMAL, MOST_OF_AN_ATTACK = 10_000, 1_000  # records to fit on


def records_outcome(question: Question, hybrid: Hybrid, baselines: Baselines | None, report: Report) -> Outcome:
    """Judge the records of a file as the protocol says.

    Raises BundleError, DatasetError, LabelMapError, QuestionError.
    """
    if question.days or question.hosts is not None:
        found = f"{hybrid.model_id} judges connection records, which have no days and no hosts"
        raise QuestionError(f"{found}; expected no --day and no --rehome")
    table = _read(question.dataset, hybrid, report, question.labels)
    if question.protocol == "random":
        return by_random_split(recipe_of(hybrid, KddRecipe), table, question.seed, report)
    if question.protocol == "leave-one-out":
        return by_leaving_out(recipe_of(hybrid, KddRecipe), table, question.seed, report)
    return as_it_is((hybrid, baselines), table, (question.data, question.dataset.parent), report)


def as_it_is(model: Model, table: KddTable, places: tuple[Path | None, ...], report: Report) -> Outcome:
    """Judge a bundle by a file. places: where its training file may lie, to count the records that stand in both."""
    hybrid = model[0]
    dataset = hybrid.about.get("dataset")
    stored = dataset if isinstance(dataset, dict) else {}
    rows = stored.get("rows")
    trained = None if not isinstance(rows, dict) else frozenset(map(str, rows))
    if stored.get("sha256") == table.sha256:
        note = "this is the training file: the bundle has seen all of these records and may only remember what it finds"
        normal = table.take(table.family == BENIGN)
        return Outcome(judged(model, table, trained, report, known=normal), notes=(note,))
    training = _training_file(hybrid, stored, places, report)
    if training is None:
        note = "the training file is not at hand: records that stand in both files were not counted"
        return Outcome(judged(model, table, trained, report), notes=(note,))
    both = overlap(table, training)
    note = (
        f"{both.rows[0]:,} of the {len(table):,} judged records ({both.distinct:,} different ones) stand in the "
        f"training file as well, {both.relabelled:,} of them only under another name"
    )
    counts = {"distinct": both.distinct, "rows": both.rows[0], "relabelled": both.relabelled}
    known = training.take(training.family == BENIGN)
    return Outcome(judged(model, table, trained, report, known=known), notes=(note,), overlap=counts)


def by_random_split(recipe: KddRecipe, table: KddTable, seed: int, report: Report) -> Outcome:
    """Fit on 70 % of each label, judge the rest."""
    train, _, test = random_split(table, TEST_SHARE, 0.0, seed)
    report(f"random split, inflated: {len(train):,} records fitted on, {len(test):,} judged")
    fitted = table.take(train)
    known = prepared(recipe, fitted, seed)
    report(f"forests and baselines, each also fitted {recipe.calibrate.folds} times without a fold")
    model = hybrid_of(known, fit_novel(known)), baselines_of(known)
    trained = frozenset(np.unique(fitted.label).tolist())
    normal = fitted.take(fitted.family == BENIGN)
    return Outcome(judged(model, table.take(test), trained, report, known=normal), notes=(INFLATED,))


def by_leaving_out(recipe: KddRecipe, table: KddTable, seed: int, report: Report) -> Outcome:
    """Each type of attack judged by a model that was fitted on the others, beside normal records that no fit saw."""
    attacks = [str(label) for label in np.unique(table.label[table.family != BENIGN])]
    if len(attacks) < 2:
        raise DatasetError(
            table.path, f"has one attack ({attacks[0]}): nothing is left to fit without it; expected two"
        )
    fit_rows, held_out = _parts(table, seed)
    fitted = table.take(fit_rows)
    report(f"encoding, scaling and Isolation Forest on {int((fitted.family == BENIGN).sum()):,} normal records")
    known = prepared(recipe, fitted, seed)
    novel = fit_novel(known)
    left_out: dict[str, Judged] = {}
    for i, attack in enumerate(attacks):
        report(f"leaving out {attack} ({i + 1} of {len(attacks)})")
        others = known.without(attack)
        model = hybrid_of(others, novel), baselines_of(others)
        own = table.take(held_out | (table.label == attack))
        left_out[attack] = judged(model, own, frozenset(attacks) - {attack}, _silent)
    whole = Judged(
        next(iter(left_out.values())).model,
        seen_by_bundle(table.take(held_out | (table.family != BENIGN)), content=recipe.content),
        reduce(ScoredRows.joined, (own.as_is for own in left_out.values())),
    )
    rows = np.union1d(fit_rows, np.flatnonzero((table.family == BENIGN) & ~held_out))
    choice = compared(prepared(recipe, table.take(rows), seed), _known_lane(table, left_out)[rows], report)
    return Outcome(whole, left_out, _notes(len(attacks), fitted, held_out, recipe), novel_choice=choice)


def _known_lane(table: KddTable, left_out: dict[str, Judged]) -> Vector:
    """p-value that the known lane of the fit without it gives each attack's record, (n,); 1 of normal ones."""
    p_known = np.ones(len(table))
    for attack, own in left_out.items():
        p_known[table.label == attack] = own.as_is.p_known[own.as_is.label == attack]
    return p_known


def _notes(attacks: int, fitted: KddTable, held_out: NDArray[np.bool_], recipe: KddRecipe) -> tuple[str, ...]:
    normal = int((fitted.family == BENIGN).sum())
    return (
        f"Together: each attack's records come from the fit without it; the judged normal records stand {attacks} "
        "times, once for each fit. Areas under curves and recall at equal false alarms mix scores of different fits; "
        "figures at rates do not suffer",
        f"each fit has {normal:,} normal records drawn at random and at most {MOST_OF_AN_ATTACK:,} of each attack, so "
        f"that {attacks * (recipe.calibrate.folds + 1)} fits end in minutes; encoding, scaling, folds and Isolation "
        "Forest hang on normal records alone and are fitted once",
        f"the {int(held_out.sum()):,} judged normal records were drawn at random: thresholds that allow for other "
        "traffic than that fitted on flag fewer of them than the nominal rate",
    )


def judged(
    model: Model, table: KddTable, trained: frozenset[str] | None, report: Report, known: KddTable | None = None
) -> Judged:
    """What a model says of records. trained: names of what it was fitted on, None where nobody knows."""
    hybrid, baselines = model
    content = hybrid.contract == kdd_contract(content=True)
    report(f"judging {len(table):,} records")
    records = seen_by_bundle(table, content=content)
    told = scored_records(hybrid, baselines, records)
    untold = trained is None or not names_attacks(trained | set(table.label.tolist()))
    novel = None if untold else (table.family != BENIGN) & ~np.isin(table.label, sorted(trained or ()))
    before = None if known is None else seen_by_bundle(known, content=content)
    return Judged(model, records, replace(told, novel=novel), known=before)


def _read(path: Path, hybrid: Hybrid, report: Report, labels: LabelMap | None) -> KddTable:
    try:
        table = read_kdd(path, report, labels)
    except DatasetError as error:
        _name_the_bundle(error, hybrid)
    families = np.unique(table.family).tolist()
    if BENIGN not in families or len(families) < 2:
        found = ", ".join(families) or "nothing"
        raise DatasetError(path, f"has records of {found} only; expected normal ones and attacks", column="label")
    return table


def _name_the_bundle(error: DatasetError, hybrid: Hybrid) -> NoReturn:
    """The fault of a file may be that it was meant for another bundle."""
    error.args = (f"{error} ({hybrid.model_id} judges records of NSL-KDD or KDD'99)",)
    raise error


def _training_file(
    hybrid: Hybrid, stored: dict[str, object], places: tuple[Path | None, ...], report: Report
) -> KddTable | None:
    """The file that a bundle says it was fitted on, where it lies in one of the places, bit for bit."""
    try:
        file = recipe_of(hybrid, KddRecipe).dataset.file
    except BundleError:
        return None
    # The bundle is a stranger's: a path that leads elsewhere could be of a file without an end, as /proc/kcore.
    names = (Path(file.name),) if file.is_absolute() or ".." in file.parts else (file, Path(file.name))
    for place in places:
        for path in () if place is None else (place / name for name in names):
            if os.path.isfile(path) and sha256_of(path) == stored.get("sha256"):
                return _read_as_fitted(path, stored, report)
    return None


def _read_as_fitted(path: Path, stored: dict[str, object], report: Report) -> KddTable:
    """A bundle's training file with the labels that the bundle was fitted by. Raises BundleError."""
    try:
        return read_kdd(path, report, recorded_map(stored.get("label_map"), "the bundle's map of labels"))
    except LabelMapError as error:
        raise BundleError(str(error)) from error


def _parts(table: KddTable, seed: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows to fit on, ascending, and which normal ones are judged; seeded."""
    rng = np.random.default_rng([seed, 6])
    held_out = np.zeros(len(table), dtype=np.bool_)
    rows = []
    for label in np.unique(table.label):
        own = rng.permutation(np.flatnonzero(table.label == label))
        if table.family[own[0]] == BENIGN:
            judged_rows = round(JUDGED_NORMAL * len(own))
            held_out[own[:judged_rows]] = True
            rows.append(own[judged_rows : judged_rows + MOST_NORMAL])
        else:
            rows.append(own[:MOST_OF_AN_ATTACK])
    return np.sort(np.concatenate(rows)), held_out


def _silent(line: str) -> None:
    """Two dozen judgements need no word each."""
    del line
