"""Folds over networks and over families: what a fit gets, and which captures it is judged by.

No capture of a network that is left out is in the fit, in its calibration or in anything that it is given. Where a
family is left out, every capture with an episode of it is left out whole, so that neither its flows nor its hosts were
seen. How a model is fitted is the caller's to say.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

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

    left_out: str  # names of the networks, or of the class of attacks
    families: tuple[str, ...]  # of that class, none where networks are left out
    judged: tuple[int, ...]  # numbers of the captures that it is judged by


Classes = Mapping[str, str | None]  # families that are learnt as another one, or not at all
AS_THEY_ARE: Classes = MappingProxyType({})
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
        yield _fold(table, ", ".join(own), (), np.isin(table.network, own), judged)


def family_folds(table: CaptureTable, classes: Classes = AS_THEY_ARE) -> Iterator[Fold]:
    """A fold for each family that episodes are of, in the order of their names.

    classes: families that are learnt as another one, and so left out with it. Raises as network_folds does.
    """
    found = sorted({episode.family for episode in table.episodes if episode.family})
    names = {family: classes.get(family) or family for family in {*found, *classes}}
    for name in sorted({names[family] for family in found}):
        families = tuple(sorted({name, *(family for family in names if names[family] == name)}))
        captures = sorted({episode.capture for episode in table.episodes if episode.family in families})
        out = np.isin(table.capture, captures) | np.isin(table.flows.family, families)
        yield _fold(table, name, families, out, captures)


def by_networks(
    table: CaptureTable, fit: Fit, sensor: Sensor, report: Report, groups: int | None = None
) -> list[JudgedCapture]:
    """Every capture judged by the fit without its network, or its group of networks, in the order of the index."""
    judged: dict[str, JudgedCapture] = {}
    for fold in network_folds(table, groups):
        judged |= {own.capture.name: own for own in _of_fold(table, fold, fit, sensor, report)}
    return [judged[capture.name] for capture in table.index.captures]


def by_families(
    table: CaptureTable, fit: Fit, sensor: Sensor, report: Report, classes: Classes = AS_THEY_ARE
) -> dict[str, list[JudgedCapture]]:
    """By family, the captures with an episode of it, judged by the fit without the family; its episodes alone.

    classes: as of family_folds.
    """
    return {
        fold.left_out: [own.of_families(fold.families) for own in _of_fold(table, fold, fit, sensor, report)]
        for fold in family_folds(table, classes)
    }


def _of_fold(table: CaptureTable, fold: Fold, fit: Fit, sensor: Sensor, report: Report) -> list[JudgedCapture]:
    report(f"leaving out {fold.left_out}: {len(fold.train):,} flows fitted on, {len(fold.judged):,} captures judged")
    return judged_captures(fit(fold, report), table, fold.judged, sensor, report)


def _fold(table: CaptureTable, left_out: str, families: tuple[str, ...], out: Mask, judged: Sequence[int]) -> Fold:
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
        families=families,
        judged=tuple(judged),
    )
