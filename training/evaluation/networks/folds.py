"""Folds over networks and over families: what a fit gets, and which captures it is judged by.

No capture of a network that is left out is in the fit, in its calibration or in anything that it is given. Where a
family is left out, every capture with an episode of it is left out whole, so that neither its flows nor its hosts were
seen. How a model is fitted is the caller's to say.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from training.arrays import Int64s, Mask, Strings
from training.datasets.captures.metered import CaptureTable
from training.datasets.table import UNLABELLED, FlowTable
from training.errors import DatasetError
from training.evaluation.networks.judged import JudgedCapture, judged_captures
from training.evaluation.networks.sensor import Sensor
from training.evaluation.outcome import Model
from training.labels import BENIGN
from training.reporting import Report

HELD_BACK_SHARE = 0.25  # of each network's normal flows: its last ones, which give calibration and thresholds
COMPANY = 5  # every so many attacks keep the normal flows that are held back company


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """What a model is fitted on, and which captures it is then judged by."""

    left_out: str  # name of the network or family
    train: FlowTable  # labelled flows alone
    held_back: FlowTable  # others, whose normal ones give calibration and thresholds
    train_network: Strings  # (n,) network of each flow of train, for weights: a network counts once
    held_back_network: Strings  # (n,) of each flow of held_back
    judged: tuple[int, ...]  # numbers of the captures that it is judged by


Fit = Callable[[Fold, Report], Model]


def network_folds(table: CaptureTable) -> Iterator[Fold]:
    """A fold for each network, in the order of their names. Raises DatasetError where one network has all there is."""
    for network in table.index.networks:
        yield _fold(table, network, table.network == network)


def family_folds(table: CaptureTable) -> Iterator[Fold]:
    """A fold for each family that episodes are of, in the order of their names. Raises as network_folds does."""
    for family in sorted({episode.family for episode in table.episodes if episode.family}):
        captures = sorted({episode.capture for episode in table.episodes if episode.family == family})
        out = np.isin(table.capture, captures) | (table.flows.family == family)
        yield _fold(table, family, out, tuple(captures))


def by_networks(table: CaptureTable, fit: Fit, sensor: Sensor, report: Report) -> list[JudgedCapture]:
    """Every capture judged by the fit without its network, in the order of the index."""
    judged: dict[str, JudgedCapture] = {}
    for fold in network_folds(table):
        judged |= {own.capture.name: own for own in _of_fold(table, fold, fit, sensor, report)}
    return [judged[capture.name] for capture in table.index.captures]


def by_families(table: CaptureTable, fit: Fit, sensor: Sensor, report: Report) -> dict[str, list[JudgedCapture]]:
    """By family, the captures with an episode of it, judged by the fit without the family; its episodes alone."""
    return {
        fold.left_out: [own.of_family(fold.left_out) for own in _of_fold(table, fold, fit, sensor, report)]
        for fold in family_folds(table)
    }


def _of_fold(table: CaptureTable, fold: Fold, fit: Fit, sensor: Sensor, report: Report) -> list[JudgedCapture]:
    report(f"leaving out {fold.left_out}: {len(fold.train):,} flows fitted on, {len(fold.judged):,} captures judged")
    return judged_captures(fit(fold, report), table, fold.judged, sensor, report)


def _fold(table: CaptureTable, left_out: str, out: Mask, judged: tuple[int, ...] | None = None) -> Fold:
    """out: (n,) flows that are kept from the fit. judged: captures, None for those of these flows and empty ones."""
    network = table.network
    usable = ~out & (table.flows.family != UNLABELLED)
    held_back = _held_back(table, usable)
    train = usable & ~held_back
    for name, part in (("fit", train), ("calibrate", held_back)):
        if not (part & (table.flows.family == BENIGN)).any():
            problem = f"has no normal flows to {name} on without {left_out}; expected captures of other networks"
            raise DatasetError(table.index.path, problem)
    if judged is None:
        captures = table.index.captures
        judged = tuple(number for number, capture in enumerate(captures) if capture.network == left_out)
    return Fold(
        left_out,
        table.flows.take(train),
        table.flows.take(held_back),
        network[train],
        network[held_back],
        judged,
    )


def _held_back(table: CaptureTable, usable: Mask) -> Mask:
    """(n,) of the flows that a fit may see, the last quarter of each network's normal ones and every fifth attack."""
    held = np.zeros(len(table), dtype=np.bool_)
    normal, network = table.flows.family == BENIGN, table.network
    for name in table.index.networks:
        own: Int64s = np.flatnonzero(usable & (network == name) & normal)
        held[own[len(own) - round(HELD_BACK_SHARE * len(own)) :]] = True
        attacks = np.flatnonzero(usable & (network == name) & ~normal)
        held[attacks[::COMPANY]] = True
    return held
