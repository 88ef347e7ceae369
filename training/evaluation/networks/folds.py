"""Folds over networks and over families: what a fit gets, and which captures it is judged by.

No capture of a network that is left out is in the fit, in its calibration or in anything that it is given. Where a
family is left out, every capture with an episode of it is left out whole, so that neither its flows nor its hosts were
seen. How a model is fitted is the caller's to say.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

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


@dataclass(frozen=True, slots=True)
class Folding:
    """How folds are made."""

    groups: int | None = None  # networks, by their names in turn, are left out in so many groups; None: each by itself
    families: bool = True  # whether families are left out as well
    # A family that is learnt as another one is left out with it.
    classes: Classes = field(default_factory=lambda: AS_THEY_ARE)
    holds_back: bool = True  # as of network_split


PLAIN = Folding()


def network_folds(table: CaptureTable, folding: Folding = PLAIN) -> Iterator[Fold]:
    """A fold for each network or group of networks, in the order of their names.

    Raises DatasetError where one has all there is.
    """
    names = table.index.networks
    step = folding.groups or len(names)
    for place in range(min(step, len(names))):
        own = names[place::step]
        judged = [number for number, capture in enumerate(table.index.captures) if capture.network in own]
        split = network_split(table.flows, table.network, ~np.isin(table.network, own), holds_back=folding.holds_back)
        yield _fold(table, split, ", ".join(own), (), judged)


def family_folds(table: CaptureTable, folding: Folding = PLAIN) -> Iterator[Fold]:
    """A fold for each family that episodes are of, in the order of their names. Raises as network_folds does."""
    classes = folding.classes
    found = sorted({episode.family for episode in table.episodes if episode.family})
    names = {family: classes.get(family) or family for family in {*found, *classes}}
    for name in sorted({names[family] for family in found}):
        families = tuple(sorted({name, *(family for family in names if names[family] == name)}))
        captures = sorted({episode.capture for episode in table.episodes if episode.family in families})
        out = np.isin(table.capture, captures) | np.isin(table.flows.family, families)
        split = network_split(table.flows, table.network, ~out, holds_back=folding.holds_back)
        yield _fold(table, split, name, families, captures)


def by_networks(
    table: CaptureTable, fit: Fit, sensor: Sensor, report: Report, folding: Folding = PLAIN
) -> list[JudgedCapture]:
    """Every capture judged by the fit without its network, or its group of networks, in the order of the index."""
    judged: dict[str, JudgedCapture] = {}
    for fold in network_folds(table, folding):
        judged |= {own.capture.name: own for own in _of_fold(table, fold, fit, sensor, report)}
    return [judged[capture.name] for capture in table.index.captures]


def by_families(
    table: CaptureTable, fit: Fit, sensor: Sensor, report: Report, folding: Folding = PLAIN
) -> dict[str, list[JudgedCapture]]:
    """By family, the captures with an episode of it, judged by the fit without the family; its episodes alone."""
    return {
        fold.left_out: [own.of_families(fold.families) for own in _of_fold(table, fold, fit, sensor, report)]
        for fold in family_folds(table, folding)
    }


def _of_fold(table: CaptureTable, fold: Fold, fit: Fit, sensor: Sensor, report: Report) -> list[JudgedCapture]:
    report(f"leaving out {fold.left_out}: {len(fold.train):,} flows fitted on, {len(fold.judged):,} captures judged")
    return judged_captures(fit(fold, report), table, fold.judged, sensor, report)


def _fold(
    table: CaptureTable, split: NetworkSplit, left_out: str, families: tuple[str, ...], judged: Sequence[int]
) -> Fold:
    for name, part in (("fit", split.train), ("calibrate", split.held_back)):
        if name == "calibrate" and not len(part):
            continue  # nothing was to be held back
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
