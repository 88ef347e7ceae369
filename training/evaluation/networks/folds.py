"""Folds over networks and over families: what a fit gets, and which captures it is judged by.

No capture of a network that is left out is in the fit, in its calibration or in anything that it is given. Where a
family is left out, every capture with an episode of it is left out whole, so that neither its flows nor its hosts were
seen. How a model is fitted is the caller's to say.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from training.arrays import Mask
from training.datasets.captures.metered import CaptureTable
from training.datasets.captures.splitting import NetworkSplit, network_split
from training.errors import DatasetError
from training.evaluation.networks.judged import JudgedCapture, judged_captures
from training.evaluation.networks.sensor import Sensor
from training.evaluation.outcome import Model
from training.labels import BENIGN
from training.reporting import Report


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Fold(NetworkSplit):
    """What a model is fitted on, and which captures it is then judged by."""

    left_out: str  # names of the networks, or of the family
    family: str  # the family that is left out, "" where networks are
    judged: tuple[int, ...]  # numbers of the captures that it is judged by


Fit = Callable[[Fold, Report], Model]


def network_folds(table: CaptureTable, groups: int | None = None) -> Iterator[Fold]:
    """A fold for each network, in the order of their names.

    groups: deals the networks into so many groups, by their names in turn, each of which is left out as one. Raises
    DatasetError where one network or group has all there is.
    """
    names = table.index.networks
    for place in range(min(groups or len(names), len(names))):
        own = names[place :: groups or len(names)]
        judged = [number for number, capture in enumerate(table.index.captures) if capture.network in own]
        yield _fold(table, ", ".join(own), "", np.isin(table.network, own), judged)


def family_folds(table: CaptureTable) -> Iterator[Fold]:
    """A fold for each family that episodes are of, in the order of their names. Raises as network_folds does."""
    for family in sorted({episode.family for episode in table.episodes if episode.family}):
        captures = sorted({episode.capture for episode in table.episodes if episode.family == family})
        out = np.isin(table.capture, captures) | (table.flows.family == family)
        yield _fold(table, family, family, out, captures)


def by_networks(
    table: CaptureTable, fit: Fit, sensor: Sensor, report: Report, groups: int | None = None
) -> list[JudgedCapture]:
    """Every capture judged by the fit without its network, or its group of networks, in the order of the index."""
    judged: dict[str, JudgedCapture] = {}
    for fold in network_folds(table, groups):
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


def _fold(table: CaptureTable, left_out: str, family: str, out: Mask, judged: Sequence[int]) -> Fold:
    """out: (n,) flows that are kept from the fit."""
    split = network_split(table.flows, table.network, ~out)
    for name, part in (("fit", split.train), ("calibrate", split.held_back)):
        if not (part.family == BENIGN).any():
            problem = f"has no normal flows to {name} on without {left_out}; expected captures of other networks"
            raise DatasetError(table.index.path, problem)
    return Fold(
        train=split.train,
        held_back=split.held_back,
        train_network=split.train_network,
        held_back_network=split.held_back_network,
        left_out=left_out,
        family=family,
        judged=tuple(judged),
    )
