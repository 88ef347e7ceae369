"""Protocols for flows: which ones a model is fitted on and which it is judged by.

time: the bundle as it is. random: a model fitted by the bundle's recipe on 70 % of the table, drawn at random, judged
on the rest. Neighbouring flows of one attack lie on both sides of such a split, so its figures are inflated: it is here
to be compared with published ones. leave-one-out: each attack family is left out of a fit and judged by that fit.
"""

from collections.abc import Callable
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from flows.columns import INDEX, usable_by_models
from models.bundle import BundleError
from models.fusion import Hybrid
from training.arrays import Int64s
from training.datasets.table import FlowTable
from training.datasets.texts import texts_in
from training.errors import DatasetError
from training.evaluation.outcome import INFLATED, Judged, Model, Outcome, recipe_of
from training.evaluation.question import Question
from training.evaluation.scored import ScoredRows, scored
from training.fit.baselines import fit_baselines
from training.fit.hybrid import Split, fit
from training.labels import BENIGN
from training.recipe import Recipe
from training.reporting import Report
from training.sequences import rehomed
from training.splits import random_split

TEST_SHARE = 0.3
HELD_BACK_SHARE = 0.25  # of the normal flows that are not judged
COMPANY = 5  # normal flows to calibrate on are a fifth of all: so are the attacks among them
FIT_UNTIL, CALIBRATE_UNTIL = 0.6, 0.8  # of each day's normal flows, in time order
Fit = Callable[[Recipe, FlowTable, FlowTable, int, Report], Model]


def judged(
    model: Model, table: FlowTable, hosts: int, seed: int, report: Report, known: FlowTable | None = None
) -> Judged:
    """The flows as they stand, and, where they have hosts, behind so many shared ones; thresholds are the model's.

    known: normal flows that the model was fitted on, where they are at hand.
    """
    report(f"judging {len(table):,} flows as they stand")
    as_is = scored(*model, table, table.host, report)
    if not table.has_hosts:
        return Judged(model, table, as_is, known=known)
    report(f"judging them re-homed onto {hosts} shared hosts")
    moved = scored(*model, table, rehomed_hosts(table, hosts, seed), report)
    return Judged(model, table, as_is, moved, known)


def rehomed_hosts(table: FlowTable, hosts: int, seed: int) -> Int64s:
    """(n, 2) int64, a shared host for each flow, drawn from the seed."""
    return rehomed(len(table), hosts, np.random.default_rng(seed))


def refitted(
    recipe: Recipe, train: FlowTable, held_back: FlowTable, seed: int, report: Report, epochs: int | None = None
) -> Model:
    """The recipe's hybrid on train, calibrated on the normal flows of held_back, and the baselines in the same way.

    epochs: for how long, None for the recipe's number: no attack that is judged may say when to stop.
    """
    hybrid = fit(recipe, Split(train, held_back), recipe.fingerprints, seed, report, epochs or recipe.lstm.epochs)
    report("baselines on the same flows")
    columns = {name: INDEX[name] for name in usable_by_models(fingerprints=recipe.fingerprints)}
    return hybrid, fit_baselines(train, held_back, columns, seed, forest=False)


def by_random_split(
    recipe: Recipe, table: FlowTable, hosts: int, seed: int, report: Report, fitted: Fit = refitted
) -> Outcome:
    """Fit on 70 % of each label (the recipe may say another share), judge the rest."""
    train, held_back, test = random_split(table, *_shares(recipe), seed)
    report(f"random split, inflated: {len(train):,} flows fitted on, {len(test):,} judged")
    model = fitted(recipe, table.take(train), table.take(held_back), seed, report)
    known = table.take(train[table.family[train] == BENIGN])
    return Outcome(judged(model, table.take(test), hosts, seed, report, known), notes=(INFLATED,), hosts=hosts)


def stored_epochs(hybrid: Hybrid) -> int | None:
    """Epochs after which the bundle's own fit was stopped, None where it does not say."""
    training = hybrid.about.get("training")
    epoch = training.get("epoch") if isinstance(training, dict) else None
    return epoch if type(epoch) is int and epoch > 0 else None


def own_split(hybrid: Hybrid, table: FlowTable) -> Recipe | None:
    """The bundle's recipe where it was fitted by a random split of this very table, read alike, else None."""
    dataset = hybrid.about.get("dataset")
    if not isinstance(dataset, dict) or dataset.get("sha256") != table.sha256:
        return None
    if _mapped_by(dataset.get("label_map")) != _mapped_by(table.label_map and table.label_map.record()):
        return None  # rows of other labels are drawn otherwise
    try:
        recipe = stored_recipe(hybrid)
    except BundleError:
        return None
    return None if recipe.random is None else recipe


def drawn_part(hybrid: Hybrid, table: FlowTable, question: Question) -> tuple[float, int]:
    """Which flows the protocol random judges a bundle by: their share and the seed of the draw. Raises BundleError.

    table: of the dataset, or a part of it.
    """
    own = None if question.days else own_split(hybrid, table)
    recipe = stored_recipe(hybrid) if own is None else own
    return _shares(recipe)[0], question.seed if own is None else own.seed


def _mapped_by(record: object) -> object:
    """What a record of a map of labels maps, None without one."""
    return record.get("labels") if isinstance(record, dict) else None


def by_held_out(model: Model, recipe: Recipe, table: FlowTable, hosts: int, seed: int, report: Report) -> Outcome:
    """Judge a bundle of a random split by the flows that its recipe kept from the fit."""
    train, _, test = random_split(table, *_shares(recipe), recipe.seed)
    report(f"random split, inflated: the bundle was fitted on {len(train):,} of these flows")
    known = table.take(train[table.family[train] == BENIGN])
    return Outcome(judged(model, table.take(test), hosts, seed, report, known), notes=(INFLATED,), hosts=hosts)


def by_leaving_out(
    recipe: Recipe, table: FlowTable, hosts: int, seed: int, report: Report, fitted: Fit = refitted
) -> Outcome:
    """Each attack family judged by a model that was fitted on the others.

    Of each day's normal flows, in time order, the first 60 % are fitted on, the next 20 % give calibration and
    thresholds, and the last 20 % are judged. Every fifth attack that was fitted on keeps the second part company: as
    many for each normal flow as in the whole table.
    """
    part = normal_parts(table)
    families = [str(family) for family in texts_in(table.family) if family != BENIGN]
    if len(families) < 2:
        raise DatasetError(table.path, f"has one attack family ({families[0]}), and none without it; expected two")
    fifth = np.arange(len(table)) % COMPANY == 0
    left_out: dict[str, Judged] = {}
    for i, family in enumerate(families):
        report(f"leaving out {family} ({i + 1} of {len(families)})")
        own = table.family == family
        others = (table.family != BENIGN) & ~own
        held_back = table.take((part == 1) | (others & fifth))
        model = fitted(recipe, table.take(others | (part == 0)), held_back, seed, report)
        left_out[family] = judged(model, table.take(own | (part == 2)), hosts, seed, report)
    as_is = reduce(ScoredRows.joined, (own.as_is for own in left_out.values()))
    behind = [own.rehomed for own in left_out.values() if own.rehomed is not None]
    moved = reduce(ScoredRows.joined, behind) if behind else None
    note = (
        f"Together: each family's flows come from the fit without it; the judged normal flows stand {len(families)} "
        "times, once for each fit. Areas under curves mix scores of different fits; figures at rates do not suffer."
    )
    model = next(iter(left_out.values())).model
    whole = Judged(model, table.take((part == 2) | (table.family != BENIGN)), as_is, moved)
    return Outcome(whole, left_out, (note,), hosts)


def _shares(recipe: Recipe) -> tuple[float, float]:
    """Share of the flows that are judged, and share of the other normal flows that calibrate."""
    if recipe.random is None:
        return TEST_SHARE, HELD_BACK_SHARE
    return recipe.random.test_share, recipe.random.held_back_share


def normal_parts(table: FlowTable) -> NDArray[np.int64]:
    """0, 1 or 2 for normal flows: to be fitted on, to calibrate on, to be judged, by time in each day; -1 attacks."""
    part = np.full(len(table), -1, dtype=np.int64)
    for day in texts_in(table.day):
        own = np.flatnonzero((table.day == day) & (table.family == BENIGN))
        place = np.arange(len(own)) / max(len(own), 1)
        part[own] = np.digitize(place, (FIT_UNTIL, CALIBRATE_UNTIL))
    return part


def stored_recipe(hybrid: Hybrid) -> Recipe:
    """The recipe that the bundle was fitted by. Raises BundleError where it holds none that this version can follow."""
    return recipe_of(hybrid, Recipe)
